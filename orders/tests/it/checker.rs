//! Decides whether what clients saw of one order is linearizable: whether each operation can have taken effect at one moment
//! between its request and its answer, so that all answers are those of one order, one operation after another.
//!
//! The algorithm is that of Wing and Gong, with the memory that Lowe added ("Testing for linearizability", 2017), which Porcupine uses,
//! too: it searches for an order of the operations that the model allows, and never looks twice at the same operations done and
//! the same state after them. An operation whose answer never came may have taken effect at any moment after its request, or
//! not at all.
//!
//! Knows no service. That it refuses what is wrong is shown below.

use std::{collections::HashSet, time::Duration};

/// Maximum number of operations on one order: the bits of a set of them.
pub(crate) const OPERATIONS_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Shipped,
    Delivered,
    Cancelled,
}

/// What a client asks for. The order is identified by the key with which it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Create,
    Get,
    /// Cancels the order, or sets its status, if it has this version.
    Become(Status, Option<u64>),
}

/// What it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Created {
        id: i64,
        is_replay: bool,
    },
    /// The order as it is, or has become.
    Is(Status, u64),
    NotFound,
    /// The order has another version.
    OtherVersion,
    /// It cannot become that.
    WrongState,
}

/// One operation of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) ask: Ask,
    pub(crate) began: Duration,
    /// `None`: no answer came.
    pub(crate) ended: Option<(Duration, Answered)>,
}

/// An order, or none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State(Option<Order>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Order {
    /// `None` where nobody has been told yet.
    id: Option<i64>,
    status: Status,
    version: u64,
}

impl State {
    /// The state after an operation, if it can have had this answer; any, where none came.
    fn after(self, ask: Ask, answered: Option<Answered>) -> Option<Self> {
        let (next, answer) = match (ask, self.0) {
            (Ask::Create, order) => {
                return order.map_or(Self::created(answered), |order| order.created_again(answered));
            }
            (_, None) => (self, Answered::NotFound),
            (Ask::Get, Some(order)) => (self, Answered::Is(order.status, order.version)),
            (Ask::Become(status, version), Some(order)) => order.changed(status, version),
        };
        answered.is_none_or(|answered| answered == answer).then_some(next)
    }

    fn created(answered: Option<Answered>) -> Option<Self> {
        let id = match answered {
            None => None,
            Some(Answered::Created { id, is_replay: false }) => Some(id),
            Some(_) => return None,
        };
        Some(Self(Some(Order { id, status: Status::Pending, version: 1 })))
    }
}

impl Order {
    fn created_again(self, answered: Option<Answered>) -> Option<State> {
        let id = match answered {
            None => self.id,
            Some(Answered::Created { id, is_replay: true }) if self.id.is_none_or(|own| own == id) => Some(id),
            Some(_) => return None,
        };
        Some(State(Some(Self { id, ..self })))
    }

    fn changed(self, status: Status, version: Option<u64>) -> (State, Answered) {
        use Status::{Cancelled, Confirmed, Delivered, Pending, Shipped};
        let same = State(Some(self));
        if version.is_some_and(|version| version != self.version) {
            return (same, Answered::OtherVersion);
        }
        match (self.status, status) {
            (Pending, Confirmed | Cancelled) | (Confirmed, Shipped | Cancelled) | (Shipped, Delivered) => {
                let version = self.version + 1;
                (State(Some(Self { status, version, ..self })), Answered::Is(status, version))
            }
            _ => (same, Answered::WrongState),
        }
    }
}

/// Whether there is an order of these operations that explains all answers.
pub(crate) fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= OPERATIONS_MAX, "{} operations are too many", operations.len());
    let answered = (0..operations.len()).filter(|n| operations[*n].ended.is_some()).fold(0u128, |all, n| all | 1 << n);
    let mut seen = HashSet::new();
    let mut open = vec![(0u128, State::default())];
    while let Some((done, state)) = open.pop() {
        if done & answered == answered {
            return true;
        }
        let remaining = || (0..operations.len()).filter(|n| done & 1 << n == 0);
        // What began after another had been answered comes after it.
        let first_end = remaining().filter_map(|n| operations[n].ended.map(|(at, _)| at)).min();
        for n in remaining() {
            let Operation { ask, began, ended } = operations[n];
            if first_end.is_some_and(|end| began > end) {
                continue;
            }
            if let Some(next) = state.after(ask, ended.map(|(_, answered)| answered)) {
                let next = (done | 1 << n, next);
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    false
}

/// A history from lines of when an operation began, when it ended, and what it was.
fn history(lines: &[(u64, u64, Ask, Option<Answered>)]) -> Vec<Operation> {
    let at = Duration::from_millis;
    lines
        .iter()
        .map(|(began, ended, ask, answered)| Operation {
            ask: *ask,
            began: at(*began),
            ended: answered.map(|answered| (at(*ended), answered)),
        })
        .collect()
}

const CREATED: Option<Answered> = Some(Answered::Created { id: 5, is_replay: false });
const REPLAYED: Option<Answered> = Some(Answered::Created { id: 5, is_replay: true });
const CANCEL: Ask = Ask::Become(Status::Cancelled, None);
const PENDING: Option<Answered> = Some(Answered::Is(Status::Pending, 1));
const CANCELLED: Option<Answered> = Some(Answered::Is(Status::Cancelled, 2));
const CONFIRMED: Option<Answered> = Some(Answered::Is(Status::Confirmed, 2));
const CONFIRM_FIRST: Ask = Ask::Become(Status::Confirmed, Some(1));

#[test]
fn histories_that_can_have_happened_are_accepted() {
    for (what, lines) in [
        ("nothing", vec![]),
        ("one after another", vec![(0, 1, Ask::Create, CREATED), (2, 3, Ask::Get, PENDING), (4, 5, CANCEL, CANCELLED)]),
        (
            "a get that is on its way sees the change",
            vec![
                (0, 1, Ask::Create, CREATED),
                (2, 9, CANCEL, CANCELLED),
                (3, 4, Ask::Get, CANCELLED),
                (5, 8, Ask::Get, CANCELLED),
            ],
        ),
        ("or does not", vec![(0, 1, Ask::Create, CREATED), (2, 9, CANCEL, CANCELLED), (3, 4, Ask::Get, PENDING)]),
        ("the second of two at once was first", vec![(0, 9, Ask::Create, REPLAYED), (1, 8, Ask::Create, CREATED)]),
        (
            "an answer that never came, of something that was done later",
            vec![
                (0, 1, Ask::Create, CREATED),
                (2, 0, CANCEL, None),
                (3, 4, Ask::Get, PENDING),
                (5, 6, Ask::Get, CANCELLED),
            ],
        ),
        (
            "and of something that was never done",
            vec![(0, 1, Ask::Create, CREATED), (2, 0, CANCEL, None), (3, 4, CONFIRM_FIRST, CONFIRMED)],
        ),
        ("an order of which nobody heard", vec![(0, 0, Ask::Create, None), (1, 2, Ask::Create, REPLAYED)]),
        (
            "one of two that saw the same version",
            vec![
                (0, 1, Ask::Create, CREATED),
                (2, 5, CONFIRM_FIRST, CONFIRMED),
                (2, 5, CONFIRM_FIRST, Some(Answered::OtherVersion)),
            ],
        ),
    ] {
        assert!(is_linearizable(&history(&lines)), "{what}");
    }
}

#[test]
fn histories_that_cannot_have_happened_are_refused() {
    for (what, lines) in [
        ("a stale read", vec![(0, 1, Ask::Create, CREATED), (2, 3, CANCEL, CANCELLED), (4, 5, Ask::Get, PENDING)]),
        ("a lost order", vec![(0, 1, Ask::Create, CREATED), (2, 3, Ask::Get, Some(Answered::NotFound))]),
        (
            "a lost change",
            vec![(0, 1, Ask::Create, CREATED), (2, 3, CANCEL, CANCELLED), (4, 5, CONFIRM_FIRST, CONFIRMED)],
        ),
        (
            "two orders of one key",
            vec![
                (0, 9, Ask::Create, CREATED),
                (0, 9, Ask::Create, Some(Answered::Created { id: 6, is_replay: false })),
            ],
        ),
        (
            "a replay of another order",
            vec![(0, 1, Ask::Create, CREATED), (2, 3, Ask::Create, Some(Answered::Created { id: 6, is_replay: true }))],
        ),
        ("a replay of nothing", vec![(0, 1, Ask::Create, REPLAYED)]),
        (
            "both of two that saw the same version",
            vec![(0, 1, Ask::Create, CREATED), (2, 5, CONFIRM_FIRST, CONFIRMED), (2, 5, CONFIRM_FIRST, CONFIRMED)],
        ),
        (
            "reads that go back",
            vec![
                (0, 1, Ask::Create, CREATED),
                (2, 0, CANCEL, None),
                (3, 4, Ask::Get, CANCELLED),
                (5, 6, Ask::Get, PENDING),
            ],
        ),
        (
            "an effect before its request",
            vec![(0, 1, Ask::Create, CREATED), (2, 3, Ask::Get, CANCELLED), (4, 5, CANCEL, CANCELLED)],
        ),
        (
            "a change that was refused and made",
            vec![
                (0, 1, Ask::Create, CREATED),
                (2, 3, Ask::Become(Status::Shipped, None), Some(Answered::WrongState)),
                (4, 5, Ask::Get, Some(Answered::Is(Status::Shipped, 2))),
            ],
        ),
        (
            "a version that was skipped",
            vec![(0, 1, Ask::Create, CREATED), (2, 3, CANCEL, Some(Answered::Is(Status::Cancelled, 3)))],
        ),
    ] {
        assert!(!is_linearizable(&history(&lines)), "{what}");
    }
}
