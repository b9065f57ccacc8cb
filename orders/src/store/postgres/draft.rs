//! What a batch of changes will write, worked out in memory from what it needs to know of the database. Knows no database.
//!
//! With SQLite each change runs its own statements. Over a network that would take several round trips for each of up to 256
//! changes, one after another. So a batch reads once what its changes need ([`Needs`]), applies them here one after another, and
//! writes the result once ([`Draft`]): the number of round trips is the same for one change as for 256.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    vec,
};

use chassis::{identity::UserId, store::StoreFault, timestamp::Timestamp, trace::TraceParent};

use crate::{
    domain::{Change, IdempotencyKey, NewOrder, Order, OrderId, Refusal, Status, StatusChange, Written},
    store::{database::Outcome, error::StoreError},
};

/// What a batch needs to know of the database.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The orders to be changed.
    pub(super) orders: Vec<OrderId>,
    /// For each order to be created, the key of its request.
    pub(super) creations: Vec<Option<(UserId, String)>>,
}

impl Needs {
    pub(super) fn of(changes: &[&Change]) -> Self {
        let mut needs = Self::default();
        for change in changes {
            match change {
                Change::Create { order, key, .. } => {
                    needs.creations.push(key.as_ref().map(|key| (order.created_by, key.as_str().to_owned())));
                }
                Change::SetStatus(change) => needs.orders.push(change.id),
            }
        }
        needs
    }

    /// The keys that may have made an order already.
    pub(super) fn keys(&self) -> impl Iterator<Item = &(UserId, String)> {
        self.creations.iter().flatten()
    }

    /// Number of orders that will be created, where these keys are known: ids that are not used would be missing later.
    pub(super) fn new_orders(&self, known: &[(String, Order)]) -> usize {
        let mut keys: HashSet<(UserId, &str)> =
            known.iter().map(|(key, order)| (order.created_by, key.as_str())).collect();
        let is_new = self.creations.iter().map(|key| match key {
            Some((user, key)) => keys.insert((*user, key.as_str())),
            None => true,
        });
        is_new.filter(|is_new| *is_new).count()
    }
}

/// What a batch has found out.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) orders: Vec<Order>,
    /// The orders that keys of their owners have made.
    pub(super) keys: Vec<(String, Order)>,
    /// As many ids as there are [`new_orders`](Needs::new_orders).
    pub(super) ids: Vec<i64>,
}

/// What a batch writes.
#[derive(Debug)]
pub(super) struct Draft {
    now: Timestamp,
    ids: vec::IntoIter<i64>,
    /// The orders as they are after the changes so far.
    orders: HashMap<OrderId, Order>,
    keys: HashMap<(UserId, String), Order>,
    /// Orders to be inserted, as they were created.
    pub(super) created: Vec<Order>,
    /// The key, its order, and its owner is that of the order.
    pub(super) created_keys: Vec<(String, Order)>,
    /// Orders to be updated, as they have become.
    pub(super) changed: BTreeMap<OrderId, Order>,
    /// Each version that an order has come into, in order, with the trace of the request for it.
    pub(super) events: Vec<(Order, Option<TraceParent>)>,
}

impl Draft {
    /// A batch that is made `now`.
    pub(super) fn new(known: Known, now: Timestamp) -> Self {
        Self {
            now,
            ids: known.ids.into_iter(),
            orders: known.orders.into_iter().map(|order| (order.id, order)).collect(),
            keys: known.keys.into_iter().map(|(key, order)| ((order.created_by, key), order)).collect(),
            created: Vec::new(),
            created_keys: Vec::new(),
            changed: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Applies one change after those before it.
    pub(super) fn apply(&mut self, change: &Change) -> Outcome {
        let written = match change {
            Change::Create { order, key, .. } => self.create(order, key.as_ref())?,
            Change::SetStatus(change) => self.set_status(change).map(Written::now)?,
        };
        if !written.is_replay {
            self.events.push((written.order.clone(), change.trace()));
        }
        Ok(written)
    }

    fn create(&mut self, order: &NewOrder, key: Option<&IdempotencyKey>) -> Outcome {
        let key = key.map(|key| (order.created_by, key.as_str().to_owned()));
        if let Some(earlier) = key.as_ref().and_then(|key| self.keys.get(key)) {
            if !earlier.was_requested_by(order) {
                return Err(Refusal::KeyReused.into());
            }
            return Ok(Written { order: earlier.clone().when_created(), is_replay: true });
        }
        let id =
            self.ids.next().ok_or_else(|| StoreFault::failed("create an order", "the batch has drawn too few ids"))?;
        let created = Order {
            id: OrderId(id),
            address: order.address.clone(),
            item: order.item.clone(),
            status: Status::Pending,
            created_by: order.created_by,
            created_at: self.now,
            updated_at: self.now,
            version: 1,
        };
        self.created.push(created.clone());
        self.orders.insert(created.id, created.clone());
        if let Some((user, key)) = key {
            self.created_keys.push((key.clone(), created.clone()));
            self.keys.insert((user, key), created.clone());
        }
        Ok(Written::now(created))
    }

    fn set_status(&mut self, change: &StatusChange) -> Result<Order, StoreError> {
        let order = self.orders.get(&change.id).cloned().ok_or(Refusal::NotFound)?;
        let order = change.apply_to(order, self.now)?;
        self.orders.insert(order.id, order.clone());
        self.changed.insert(order.id, order.clone());
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use chassis::{conditional::IfMatch, identity::Caller};

    use super::*;
    use crate::domain::{Address, Item};

    const OWNER: UserId = UserId(7);

    fn now() -> Timestamp {
        Timestamp::from_unix_micros(1_000_000).unwrap()
    }

    fn create(item: &str, key: Option<&str>) -> Change {
        let order = NewOrder {
            address: Address::parse("1 Main Street").unwrap(),
            item: Item::parse(item).unwrap(),
            created_by: OWNER,
        };
        Change::Create { order, key: key.map(|key| IdempotencyKey::parse(key).unwrap()), trace: None }
    }

    fn set_status(id: i64, status: Status) -> Change {
        let caller = Caller { user_id: OWNER, is_admin: false };
        Change::SetStatus(StatusChange { id: OrderId(id), status, caller, if_match: IfMatch::Absent, trace: None })
    }

    fn draft(ids: &[i64]) -> Draft {
        Draft::new(Known { ids: ids.to_vec(), ..Known::default() }, now())
    }

    #[test]
    fn a_batch_needs_the_orders_it_changes_the_keys_it_uses_and_an_id_for_each_creation() {
        let changes = [
            create("a book", Some("k")),
            set_status(5, Status::Cancelled),
            create("a pen", None),
            create("a book", Some("k")),
        ];
        let needs = Needs::of(&changes.iter().collect::<Vec<_>>());
        let key = || Some((OWNER, "k".to_owned()));
        assert_eq!(needs, Needs { orders: vec![OrderId(5)], creations: vec![key(), None, key()] });
        assert_eq!(needs.new_orders(&[]), 2, "the second with this key is a replay");
        let earlier = draft(&[1]).apply(&create("a book", Some("k"))).unwrap().order;
        assert_eq!(needs.new_orders(&[("k".to_owned(), earlier)]), 1);
    }

    #[test]
    fn requests_with_the_same_key_in_one_batch_make_one_order() {
        let mut draft = draft(&[1, 2, 3]);
        let first = draft.apply(&create("a book", Some("k"))).unwrap();
        let again = draft.apply(&create("a book", Some("k"))).unwrap();
        assert_eq!(again, Written { is_replay: true, ..first });
        let reused = draft.apply(&create("a pen", Some("k")));
        assert!(matches!(reused, Err(StoreError::Refused(Refusal::KeyReused))), "{reused:?}");
        assert_eq!((draft.created.len(), draft.created_keys.len(), draft.events.len()), (1, 1, 1));
    }

    #[test]
    fn changes_of_one_order_see_each_other_and_each_version_has_its_event() {
        let mut draft = draft(&[1]);
        draft.apply(&create("a book", None)).unwrap();
        draft.apply(&set_status(1, Status::Confirmed)).unwrap();
        let shipped = draft.apply(&set_status(1, Status::Shipped)).unwrap();
        let refused = draft.apply(&set_status(1, Status::Cancelled));
        assert!(matches!(refused, Err(StoreError::Refused(Refusal::WrongState { .. }))), "{refused:?}");
        assert_eq!(shipped.order.version, 3);
        let events: Vec<_> = draft.events.iter().map(|(order, _)| (order.version, order.status)).collect();
        assert_eq!(events, [(1, Status::Pending), (2, Status::Confirmed), (3, Status::Shipped)]);
        assert_eq!(draft.created[0].status, Status::Pending, "inserted as it was created");
        assert_eq!(draft.changed[&OrderId(1)], shipped.order, "and updated once");
    }

    #[test]
    fn a_replay_shows_the_order_as_it_was_created() {
        let mut first = draft(&[1]);
        let created = first.apply(&create("a book", Some("k"))).unwrap().order;
        let cancelled = first.apply(&set_status(1, Status::Cancelled)).unwrap().order;
        let known = Known { keys: vec![("k".to_owned(), cancelled)], ids: vec![2], ..Known::default() };
        let replayed = Draft::new(known, now()).apply(&create("a book", Some("k"))).unwrap();
        assert_eq!(replayed, Written { order: created, is_replay: true });
    }

    #[test]
    fn an_order_that_does_not_exist_is_not_found() {
        let refused = draft(&[]).apply(&set_status(1, Status::Cancelled));
        assert!(matches!(refused, Err(StoreError::Refused(Refusal::NotFound))), "{refused:?}");
    }
}
