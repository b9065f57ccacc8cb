//! The texts of an order: an address and an item. Made only by parsing.

/// Maximum length of an address: what fits on an envelope, with room to spare.
const ADDRESS_CHARS_MAX: usize = 500;
/// Maximum length of the name of an item.
const ITEM_CHARS_MAX: usize = 200;

/// Where the goods are sent: 1 to [`ADDRESS_CHARS_MAX`] characters, on one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Parses an address, without the whitespace around it. Its lines end with LF: a CRLF, which the `textarea` of a form
    /// sends, becomes one.
    ///
    /// # Errors
    /// Says what an address must be.
    pub(crate) fn parse(raw: &str) -> Result<Self, TextError> {
        parse_text(&raw.replace("\r\n", "\n"), ADDRESS_CHARS_MAX, |c| c == '\n').map(Self)
    }

    /// An address that no request could have, for tests of what the database does with one.
    #[cfg(test)]
    pub(crate) fn unchecked(raw: &str) -> Self {
        Self(raw.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is ordered: 1 to [`ITEM_CHARS_MAX`] characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item(String);

impl Item {
    /// Parses an item, without the whitespace around it.
    ///
    /// # Errors
    /// Says what an item must be.
    pub(crate) fn parse(raw: &str) -> Result<Self, TextError> {
        parse_text(raw, ITEM_CHARS_MAX, |_| false).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {0} characters")]
    TooLong(usize),
    #[error("must not contain control characters")]
    Control,
}

fn parse_text(raw: &str, chars_max: usize, may_control: impl Fn(char) -> bool) -> Result<String, TextError> {
    let text = raw.trim();
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > chars_max {
        return Err(TextError::TooLong(chars_max));
    }
    if text.chars().any(|c| c.is_control() && !may_control(c)) {
        return Err(TextError::Control);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_item_is_one_line_of_1_to_200_characters() {
        for (raw, expected) in [
            ("  book \n", Ok("book")),
            ("書", Ok("書")),
            ("", Err(TextError::Empty)),
            (" \t\n ", Err(TextError::Empty)),
            ("two\nlines", Err(TextError::Control)),
            ("nul\0", Err(TextError::Control)),
        ] {
            assert_eq!(Item::parse(raw).as_ref().map(Item::as_str).map_err(|e| *e), expected, "{raw:?}");
        }
        assert!(Item::parse(&"書".repeat(ITEM_CHARS_MAX)).is_ok());
        assert_eq!(Item::parse(&"a".repeat(ITEM_CHARS_MAX + 1)), Err(TextError::TooLong(ITEM_CHARS_MAX)));
    }

    #[test]
    fn an_address_may_have_several_lines() {
        assert_eq!(Address::parse(" Main St 1\nSpringfield ").unwrap().as_str(), "Main St 1\nSpringfield");
        assert_eq!(Address::parse("Main St 1\r\nSpringfield\r\n").unwrap().as_str(), "Main St 1\nSpringfield");
        assert_eq!(Address::parse("a\rb"), Err(TextError::Control));
        assert!(Address::parse(&"a\r\n".repeat(ADDRESS_CHARS_MAX / 2)).is_ok());
        assert_eq!(Address::parse("a\tb"), Err(TextError::Control));
        assert!(Address::parse(&"é".repeat(ADDRESS_CHARS_MAX)).is_ok());
        assert_eq!(Address::parse(&"é".repeat(ADDRESS_CHARS_MAX + 1)), Err(TextError::TooLong(ADDRESS_CHARS_MAX)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = (Address::parse(&text), Item::parse(&text));
        }
    }
}
