//! What came of the requests: latencies, statuses and failures, by step. Knows no HTTP but the meaning of a status.

use std::{collections::BTreeMap, time::Duration};

use super::{client::Answer, latencies::Latencies};

/// Maximum number of different failures that are told apart.
const FAILURES_MAX: usize = 20;

/// What a customer does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    SignIn,
    ListUsers,
    ListOrders,
    PlaceOrder,
    ReadOrder,
    CancelOrder,
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign in",
            Self::ListUsers => "list users",
            Self::ListOrders => "list orders",
            Self::PlaceOrder => "place an order",
            Self::ReadOrder => "read an order",
            Self::CancelOrder => "cancel an order",
        }
    }

    /// Whether this status is one that the step may have. Those who come too often are told so, which is no failure; and only
    /// an admin may list users.
    const fn expects(self, status: u16) -> bool {
        match (self, status) {
            (_, 429) | (Self::ListUsers, 403) => true,
            (Self::SignIn | Self::PlaceOrder, status) => status == 201,
            (_, status) => status == 200,
        }
    }
}

/// The requests so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) steps: BTreeMap<Step, Counts>,
    /// How often each failure was seen.
    pub(super) failures: BTreeMap<String, u64>,
}

/// The requests of one step.
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Of those that were answered.
    pub(super) latencies: Latencies,
}

impl Counts {
    pub(super) const fn none() -> Self {
        Self { requests: 0, failed: 0, statuses: BTreeMap::new(), latencies: Latencies::none() }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.latencies.add(&other.latencies);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }
}

impl Tally {
    /// Counts a request and what came of it.
    pub(super) fn count(&mut self, step: Step, took: Duration, outcome: &Result<Answer, String>) {
        let counts = self.steps.entry(step).or_insert_with(Counts::none);
        counts.requests += 1;
        let failure = match outcome {
            Ok(answer) => {
                counts.latencies.count(took);
                *counts.statuses.entry(answer.status).or_default() += 1;
                (!step.expects(answer.status)).then(|| match answer.body["code"].as_str() {
                    Some(code) => format!("{} {code}", answer.status),
                    None => answer.status.to_string(),
                })
            }
            Err(reason) => Some(reason.clone()),
        };
        if let Some(failure) = failure {
            counts.failed += 1;
            let failure = format!("{}: {failure}", step.name());
            let is_room = self.failures.len() < FAILURES_MAX || self.failures.contains_key(&failure);
            *self.failures.entry(if is_room { failure } else { "others".to_owned() }).or_default() += 1;
        }
    }

    /// The requests of all steps together.
    pub(super) fn all(&self) -> Counts {
        let mut all = Counts::none();
        self.steps.values().for_each(|counts| all.add(counts));
        all
    }
}
