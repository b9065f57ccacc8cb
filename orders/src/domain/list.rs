//! Lists of orders: positions, pages, and what a page returns.

use std::fmt;

use chassis::{identity::UserId, timestamp::Timestamp};

use super::order::{Order, OrderId, Status};

/// A position in a list, newest first. Orders created at the same time are ordered by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) created_at: Timestamp,
    pub(crate) id: OrderId,
}

impl Position {
    /// The position of this order.
    pub(crate) const fn of(order: &Order) -> Self {
        Self { created_at: order.created_at, id: order.id }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (micros, id) = text.split_once(':')?;
        Some(Self { created_at: Timestamp::from_unix_micros(micros.parse().ok()?)?, id: OrderId(id.parse().ok()?) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.created_at.unix_micros(), self.id)
    }
}

/// Which orders are in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) owner: UserId,
    pub(crate) status: Option<Status>,
    /// Only orders that were created later than this.
    pub(crate) created_after: Option<Timestamp>,
    /// Only orders that were created earlier than this.
    pub(crate) created_before: Option<Timestamp>,
}

#[cfg(test)]
impl Filter {
    /// All orders of a user.
    pub(crate) const fn of_owner(owner: UserId) -> Self {
        Self { owner, status: None, created_after: None, created_before: None }
    }
}

/// Different for each list, so that a cursor is valid in its own list only.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.owner)?;
        self.status.iter().try_for_each(|status| write!(f, " status {}", status.name()))?;
        self.created_after.iter().try_for_each(|time| write!(f, " after {}", time.unix_micros()))?;
        self.created_before.iter().try_for_each(|time| write!(f, " before {}", time.unix_micros()))
    }
}

/// Which orders of a list to read, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// The page starts after this position, or at the newest order where there is none.
    pub(crate) after: Option<Position>,
    /// Maximum number of orders.
    pub(crate) limit: usize,
}

/// One page of a list, and whether there are more orders after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderPage {
    pub(crate) orders: Vec<Order>,
    pub(crate) has_more: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_as_it_was_written(micros in 0_i64..4_000_000_000_000_000, id in any::<i64>()) {
            let position = Position { created_at: Timestamp::from_unix_micros(micros).unwrap(), id: OrderId(id) };
            prop_assert_eq!(Position::parse(&position.to_string()), Some(position));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Position::parse(&text);
        }
    }
}
