//! How actix-http hands requests over where it does more than call a service: `Expect: 100-continue`, and upgrades.

pub(crate) mod expect;
pub(crate) mod upgrade;
