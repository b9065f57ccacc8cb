//! An order, an order to be created, and the states that an order goes through.

use std::fmt;

use chassis::{
    identity::{Caller, UserId},
    timestamp::Timestamp,
};

use super::text::{Address, Item};

/// The id of an order, never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderId(pub(crate) i64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The state of an order.
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

    /// Whether an order in this state may come into the next one: from `pending` to `delivered` step by step, and to
    /// `cancelled` before it is shipped.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Confirmed | Self::Cancelled)
                | (Self::Confirmed, Self::Shipped | Self::Cancelled)
                | (Self::Shipped, Self::Delivered)
        )
    }

    /// The status with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// An order to be created.
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
    /// Counts the versions of this order, from 1; it makes the `ETag`.
    pub(crate) version: u64,
}

impl Order {
    /// The order as it was when it was created. Of an order only the state changes.
    pub(crate) fn when_created(self) -> Self {
        Self { status: Status::Pending, updated_at: self.created_at, version: 1, ..self }
    }

    /// Whether a request for `other` would have created this order.
    pub(crate) fn was_requested_by(&self, other: &NewOrder) -> bool {
        let NewOrder { address, item, created_by } = other;
        (&self.address, &self.item, &self.created_by) == (address, item, created_by)
    }

    /// Whether `caller` may see the order: its owner and admins may. For everybody else it does not exist.
    pub(crate) fn is_visible_to(&self, caller: &Caller) -> bool {
        caller.is_admin || caller.user_id == self.created_by
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_status_is_found_by_its_name() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
        assert_eq!(Status::from_name("Pending"), None);
    }

    #[test]
    fn an_order_goes_on_step_by_step_and_can_be_cancelled_before_it_is_shipped() {
        let steps = Status::ALL.into_iter().flat_map(|from| Status::ALL.map(|to| (from, to)));
        let possible: Vec<_> =
            steps.filter(|(from, to)| from.may_become(*to)).map(|(from, to)| (from.name(), to.name())).collect();
        let expected = [
            ("pending", "confirmed"),
            ("pending", "cancelled"),
            ("confirmed", "shipped"),
            ("confirmed", "cancelled"),
            ("shipped", "delivered"),
        ];
        assert_eq!(possible, expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Status::from_name(&text);
        }
    }
}
