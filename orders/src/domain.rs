//! What an order is. Its types are made by parsing only; knows no HTTP, no database and no clock.

use std::fmt;

use chassis::{
    identity::{Caller, UserId},
    timestamp::Timestamp,
};

/// An address fits on an envelope, with room to spare.
pub(crate) const ADDRESS_CHARS_MAX: usize = 500;
/// The name of an article.
pub(crate) const ITEM_CHARS_MAX: usize = 200;

/// The number of an order, never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderId(pub(crate) i64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the goods go: 1 to [`ADDRESS_CHARS_MAX`] characters, on one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Parses an address, without the white space around it.
    ///
    /// # Errors
    /// Says what an address must be.
    pub(crate) fn parse(raw: &str) -> Result<Self, TextError> {
        parse_text(raw, ADDRESS_CHARS_MAX, |c| c == '\n').map(Self)
    }

    /// An address that no request could bring here, for tests of what the database does with one.
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
    /// Parses an item, without the white space around it.
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

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Shipped,
    Delivered,
    Cancelled,
}

impl Status {
    const ALL: [Self; 5] = [Self::Pending, Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The name that is stored and shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// An order that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewOrder {
    pub(crate) address: Address,
    pub(crate) item: Item,
    pub(crate) created_by: UserId,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) address: Address,
    pub(crate) item: Item,
    pub(crate) status: Status,
    pub(crate) created_by: UserId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Counts the states of this order, from 1.
    pub(crate) version: u64,
}

impl Order {
    /// Whether an order exists, as far as `caller` can tell: only for its owner and for admins.
    pub(crate) fn is_visible_to(&self, caller: &Caller) -> bool {
        caller.is_admin || caller.user_id == self.created_by
    }

    /// The place of this order in a list.
    pub(crate) const fn position(&self) -> Position {
        Position { created_at: self.created_at, id: self.id }
    }
}

/// A place in a list, newest first. Orders of the same moment are told apart by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) created_at: Timestamp,
    pub(crate) id: OrderId,
}

impl Position {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (micros, id) = text.split_once(':')?;
        Some(Self { created_at: Timestamp::of_unix_micros(micros.parse().ok()?)?, id: OrderId(id.parse().ok()?) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.created_at.unix_micros(), self.id)
    }
}

/// The part of a user's orders to be read, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Starts behind this place; at the newest order where there is none.
    pub(crate) after: Option<Position>,
    /// At most so many orders.
    pub(crate) limit: usize,
}

/// Some orders of a list, and whether there are more behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) orders: Vec<Order>,
    pub(crate) has_more: bool,
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
        assert_eq!(Address::parse("a\tb"), Err(TextError::Control));
        assert!(Address::parse(&"é".repeat(ADDRESS_CHARS_MAX)).is_ok());
        assert_eq!(Address::parse(&"é".repeat(ADDRESS_CHARS_MAX + 1)), Err(TextError::TooLong(ADDRESS_CHARS_MAX)));
    }

    #[test]
    fn a_status_is_found_by_its_name() {
        for status in Status::ALL {
            assert_eq!(Status::of_name(status.name()), Some(status));
        }
        assert_eq!(Status::of_name("Pending"), None);
    }

    proptest! {
        #[test]
        fn a_position_is_read_as_it_was_written(micros in 0_i64..4_000_000_000_000_000, id in any::<i64>()) {
            let position = Position { created_at: Timestamp::of_unix_micros(micros).unwrap(), id: OrderId(id) };
            prop_assert_eq!(Position::parse(&position.to_string()), Some(position));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = (Address::parse(&text), Item::parse(&text), Position::parse(&text), Status::of_name(&text));
        }
    }
}
