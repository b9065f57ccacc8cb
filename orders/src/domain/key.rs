//! The idempotency key of a request: whoever sends the request again with the same key gets the same answer.

/// Maximum length of a key. A UUID has 36 characters.
const CHARS_MAX: usize = 255;

/// A key, unique among those of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses the field `Idempotency-Key`: a string in quotes (RFC 9651, section 3.3.3), as the draft
    /// (draft-ietf-httpapi-idempotency-key-header-07) wants it, or the same without quotes, as most clients send it.
    ///
    /// # Errors
    /// Says what a key must be.
    pub(crate) fn parse(field: &str) -> Result<Self, KeyError> {
        let field = field.trim();
        let key = match field.strip_prefix('"') {
            Some(rest) => unquote(rest).ok_or(KeyError)?,
            None if field.contains('"') => return Err(KeyError),
            None => field.to_owned(),
        };
        let is_valid = (1..=CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_valid { Ok(Self(key)) } else { Err(KeyError) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The string before the closing quote, which must be the last character.
fn unquote(rest: &str) -> Option<String> {
    let mut unquoted = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(unquoted),
            '\\' => unquoted.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => unquoted.push(c),
        }
    }
}

/// A field that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {CHARS_MAX} visible ASCII characters or spaces, in double quotes or without any")]
pub(crate) struct KeyError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_a_string_with_or_without_quotes() {
        let long = "k".repeat(CHARS_MAX);
        for (field, expected) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            (" \"a b\" ", Some("a b")),
            (r#""a\"b\\c""#, Some(r#"a"b\c"#)),
            (&long, Some(&long)),
            (&format!("{long}k"), None),
            ("", None),
            ("\"\"", None),
            ("\"a", None),
            ("a\"", None),
            ("\"a\"b", None),
            ("\"a\", \"b\"", None),
            (r#""a\n""#, None),
            ("ä", None),
            ("a\tb", None),
        ] {
            let parsed = IdempotencyKey::parse(field);
            assert_eq!(parsed.as_ref().ok().map(IdempotencyKey::as_str), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_the_same_with_and_without_quotes(key in "[!#-~]([ !#-~]{0,100}[!#-~])?") {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\"));
            prop_assert_eq!(IdempotencyKey::parse(&quoted).unwrap(), IdempotencyKey::parse(&key).unwrap());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = (IdempotencyKey::parse(&text), IdempotencyKey::parse(&format!("\"{text}")));
        }
    }
}
