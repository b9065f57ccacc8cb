//! What can be done to orders. A change is decided on the order as it is when its turn comes.

use chassis::{conditional::IfMatch, identity::Caller, timestamp::Timestamp, trace::TraceParent};

use super::{
    key::IdempotencyKey,
    order::{NewOrder, Order, OrderId, Status},
    rules::Refusal,
};

/// A change of the orders.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Creates an order, unless a request with this key has done so already.
    Create {
        order: NewOrder,
        key: Option<IdempotencyKey>,
        trace: Option<TraceParent>,
    },
    SetStatus(StatusChange),
}

impl Change {
    /// Number of bytes of text in it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Create { order, key, .. } => {
                let key = key.as_ref().map_or(0, |key| key.as_str().len());
                order.address.as_str().len() + order.item.as_str().len() + key
            }
            Self::SetStatus(_) => 0,
        }
    }

    /// The trace of the request for it.
    pub(crate) const fn trace(&self) -> Option<TraceParent> {
        match self {
            Self::Create { trace, .. } => *trace,
            Self::SetStatus(change) => change.trace,
        }
    }
}

/// What a change has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The order after the change.
    pub(crate) order: Order,
    /// The change had been made before, by a request with the same key; nothing was changed now.
    pub(crate) is_replay: bool,
}

impl Written {
    /// The order after a change that was made now.
    pub(crate) const fn now(order: Order) -> Self {
        Self { order, is_replay: false }
    }
}

/// An order is to come into another state.
#[derive(Clone, Debug)]
pub(crate) struct StatusChange {
    pub(crate) id: OrderId,
    pub(crate) status: Status,
    /// Who wants it: for everybody but its owner and admins the order does not exist.
    pub(crate) caller: Caller,
    /// The version that the caller has seen.
    pub(crate) if_match: IfMatch,
    pub(crate) trace: Option<TraceParent>,
}

impl StatusChange {
    /// The order after this change, made `now`.
    ///
    /// # Errors
    /// The first rule that forbids it.
    pub(crate) fn apply_to(&self, order: Order, now: Timestamp) -> Result<Order, Refusal> {
        if !order.is_visible_to(&self.caller) {
            return Err(Refusal::NotFound);
        }
        if !self.if_match.allows(order.version) {
            return Err(Refusal::PreconditionFailed);
        }
        if !order.status.may_become(self.status) {
            return Err(Refusal::WrongState { from: order.status, to: self.status });
        }
        Ok(Order { status: self.status, updated_at: now, version: order.version + 1, ..order })
    }
}

#[cfg(test)]
mod tests {
    use chassis::identity::UserId;

    use super::*;
    use crate::domain::{Address, Item};

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_unix_micros(micros).unwrap()
    }

    fn order(status: Status) -> Order {
        Order {
            id: OrderId(1),
            address: Address::parse("1 Main Street").unwrap(),
            item: Item::parse("a book").unwrap(),
            status,
            created_by: UserId(7),
            created_at: at(1),
            updated_at: at(1),
            version: 3,
        }
    }

    fn change(user_id: i64, is_admin: bool, if_match: IfMatch) -> StatusChange {
        let caller = Caller { user_id: UserId(user_id), is_admin };
        StatusChange { id: OrderId(1), status: Status::Confirmed, caller, if_match, trace: None }
    }

    #[test]
    fn a_change_counts_the_version_and_keeps_the_rest() {
        let changed = change(7, false, IfMatch::Any).apply_to(order(Status::Pending), at(2)).unwrap();
        let expected = Order { status: Status::Confirmed, updated_at: at(2), version: 4, ..order(Status::Pending) };
        assert_eq!(changed, expected);
    }

    #[test]
    fn whoever_may_not_see_an_order_learns_nothing_about_it() {
        let none = IfMatch::Tags(Vec::new());
        for (change, expected) in [
            (change(8, false, none.clone()), Err(Refusal::NotFound)),
            (change(7, false, none.clone()), Err(Refusal::PreconditionFailed)),
            (change(8, true, none), Err(Refusal::PreconditionFailed)),
            (
                change(8, true, IfMatch::Absent),
                Err(Refusal::WrongState { from: Status::Shipped, to: Status::Confirmed }),
            ),
        ] {
            assert_eq!(change.apply_to(order(Status::Shipped), at(2)), expected);
        }
    }
}
