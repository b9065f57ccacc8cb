//! Usernames, e-mail addresses and full names, and the folding that makes two spellings of one name equal.

use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// Maximum length of a username: enough for most e-mail addresses, short enough for a column of a table.
const USERNAME_CHARS_MAX: usize = 64;
/// Maximum length of an e-mail address: a path in SMTP has 256 bytes including two angle brackets (RFC 5321, section
/// 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;
/// Maximum length of a full name.
const FULL_NAME_CHARS_MAX: usize = 200;
/// Maximum length of a remark.
const REMARK_CHARS_MAX: usize = 200;

/// A name in the form that is compared: trimmed, NFKC, case-folded, and NFKC again, because folding may leave characters
/// that compose (compatibility caseless matching, Unicode section 3.13, D146).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Folded(Box<str>);

impl Folded {
    /// Folds a text.
    pub(super) fn new(text: &str) -> Self {
        let nfkc = ComposingNormalizerBorrowed::new_nfkc();
        let once = nfkc.normalize(text.trim());
        let folded = CaseMapper::new().fold_string(&once);
        Self(nfkc.normalize(&folded).trim().into())
    }

    /// The folded text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name with which a user signs in. Unique after folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserName {
    shown: Box<str>,
    folded: Folded,
}

impl UserName {
    /// Parses a name, without the whitespace around it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let shown = text.trim();
        if shown.is_empty() {
            return Err("must not be empty".to_owned());
        }
        at_most(shown, USERNAME_CHARS_MAX)?;
        all_visible(shown)?;
        Ok(Self { shown: shown.into(), folded: Folded::new(shown) })
    }

    /// The name as entered.
    pub(crate) fn as_str(&self) -> &str {
        &self.shown
    }

    /// The name as compared.
    pub(crate) const fn folded(&self) -> &Folded {
        &self.folded
    }
}

/// A plausible e-mail address; whether mail arrives there is not checked. Unique after folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email {
    shown: Box<str>,
    folded: Folded,
}

impl Email {
    /// Parses an address: one `@` with text on both sides, no whitespace and no invisible characters.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let shown = text.trim();
        if shown.len() > EMAIL_BYTES_MAX {
            return Err(format!("must have at most {EMAIL_BYTES_MAX} bytes"));
        }
        all_visible(shown)?;
        let mut parts = shown.split('@');
        let is_plausible = matches!(
            (parts.next(), parts.next(), parts.next()),
            (Some(local), Some(domain), None) if !local.is_empty() && !domain.is_empty()
        );
        if !is_plausible || shown.contains(char::is_whitespace) {
            return Err("must be an e-mail address like ann@example.com".to_owned());
        }
        Ok(Self { shown: shown.into(), folded: Folded::new(shown) })
    }

    /// The address as entered.
    pub(crate) fn as_str(&self) -> &str {
        &self.shown
    }

    /// The address as compared.
    pub(crate) const fn folded(&self) -> &Folded {
        &self.folded
    }
}

/// The full name of a user. Not unique; may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FullName(Box<str>);

impl FullName {
    /// Parses a full name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        at_most(text, FULL_NAME_CHARS_MAX)?;
        if text.contains(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// The name as entered.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody who runs the service notes about an account. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark(Box<str>);

impl Remark {
    /// Parses a remark.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        at_most(text, REMARK_CHARS_MAX)?;
        if text.trim().is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.contains(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// The remark as entered.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn at_most(text: &str, chars_max: usize) -> Result<(), String> {
    if text.chars().count() > chars_max {
        return Err(format!("must have at most {chars_max} characters"));
    }
    Ok(())
}

fn all_visible(text: &str) -> Result<(), String> {
    if text.chars().any(|c| c.is_control() || is_ignorable(c) || is_blank(c)) {
        return Err("must not contain control or invisible characters".to_owned());
    }
    Ok(())
}

/// Whether a character is invisible (`Default_Ignorable_Code_Point`, Unicode section 5.21). With such characters, two
/// users could have names that look the same.
const fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character shows nothing, or ends a line, without being ignorable: the separators of lines and paragraphs
/// (general categories `Zl` and `Zp`), the format characters (`Cf`) that [`is_ignorable`] has not, and three that are
/// letters or symbols and yet blank (Braille pattern, Khitan filler, musical null notehead). From `UnicodeData.txt` of
/// Unicode 16.
const fn is_blank(c: char) -> bool {
    matches!(c,
        '\u{2028}'..='\u{2029}'
        | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{2800}' | '\u{16fe4}' | '\u{1d159}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> Folded {
        UserName::parse(text).unwrap().folded().clone()
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        for (one, other) in [
            ("admin", "Admin"),
            ("admin", " admin\t"),
            ("admin", "ａdmin"),
            ("admin", "ＡＤＭＩＮ"),
            ("strasse", "Straße"),
            ("\u{e9}", "e\u{301}"),
            ("Σίσυφος", "σίσυφοσ"),
            ("ﬁn", "FIN"),
            ("K", "\u{212a}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("admin"), folded("аdmin"), "a Cyrillic letter is another letter");
    }

    #[test]
    fn names_have_limits() {
        for (text, valid) in [
            ("a", true),
            (" a ", true),
            ("", false),
            (" \t ", false),
            ("two words", true),
            ("new\nline", false),
            ("nul\0", false),
            ("ad\u{200b}min", false),
            ("\u{202e}nimda", false),
            ("ad\u{2028}min", false),
            ("ad\u{2029}min", false),
            ("\u{2800}", false),
            ("ad\u{2800}min", false),
            ("\u{fff9}admin", false),
            ("\u{16fe4}", false),
            ("two\u{3000}words", true),
        ] {
            assert_eq!(UserName::parse(text).is_ok(), valid, "{text:?}");
        }
        assert!(UserName::parse(&"é".repeat(64)).is_ok());
        assert!(UserName::parse(&"é".repeat(65)).is_err());
        assert!(FullName::parse(&"é".repeat(200)).is_ok());
        assert!(FullName::parse(&"é".repeat(201)).is_err());
        assert!(FullName::parse("bell\u{7}").is_err());
        for (text, valid) in [("a", true), ("é", true), (" ", false), ("", false), ("a\n", false)] {
            assert_eq!(Remark::parse(text).is_ok(), valid, "{text:?}");
        }
        assert!(Remark::parse(&"é".repeat(200)).is_ok() && Remark::parse(&"é".repeat(201)).is_err());
    }

    #[test]
    fn an_email_address_is_plausible() {
        for (text, valid) in [
            ("ann@example.com", true),
            (" ann@example.com ", true),
            ("a@b", true),
            ("ann+x@exämple.com", true),
            ("", false),
            ("ann", false),
            ("@example.com", false),
            ("ann@", false),
            ("a@b@c", false),
            ("ann smith@example.com", false),
            ("ann@example.com\n.org", false),
        ] {
            assert_eq!(Email::parse(text).is_ok(), valid, "{text:?}");
        }
        assert!(Email::parse(&format!("{}@b", "a".repeat(252))).is_ok());
        assert!(Email::parse(&format!("{}@b", "a".repeat(253))).is_err());
        assert_eq!(
            Email::parse("Ann@Example.com").unwrap().folded(),
            Email::parse("ann@example.COM").unwrap().folded()
        );
    }

    proptest! {
        #[test]
        fn case_and_surrounding_space_never_make_a_new_name(name in "[a-z0-9äöüßéñçøåλжд]{1,20}") {
            let folded_once = folded(&name);
            prop_assert_eq!(&folded_once, &folded(&name.to_uppercase()));
            prop_assert_eq!(&folded_once, &folded(&format!(" {name} ")));
            prop_assert_eq!(&folded_once, &folded(folded_once.as_str()));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in any::<String>()) {
            let _ = (UserName::parse(&text), Email::parse(&text), FullName::parse(&text));
        }
    }
}
