//! How the server hands requests over: `Expect: 100-continue`, and upgrades.

pub(crate) mod expect;
pub(crate) mod upgrade;
