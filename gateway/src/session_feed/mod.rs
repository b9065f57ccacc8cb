//! Follows the feed of ended sessions, which the service that keeps the sessions offers, and fills the table that tokens are
//! checked with ([`auth::ended_sessions`](crate::auth::ended_sessions)). Knows no tokens and no requests of clients.
//!
//! [`follower`] is one task for the process, whatever is reloaded. It asks for what has ended since the last answer
//! ([`reader`]), and the service keeps the request until there is something new (a *long poll*), so that all gateways
//! learn of it at once. What an answer may be is in [`page`], which is pure.
//!
//! The tricky part is what is not known. A feed that cannot be read for `after` says nothing about newly ended sessions;
//! then the configuration decides whether tokens are accepted by what is known, or refused. And nothing that the feed
//! answers may cost more than its bounds: an answer has a maximum size and time, answers that never end are given up, and
//! the table has a maximum length.

pub(crate) mod follower;
pub(crate) mod metrics;
mod page;
mod reader;
