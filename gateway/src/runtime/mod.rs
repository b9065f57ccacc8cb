//! The three lifetimes of the gateway's state:
//!
//! - [`process`]: as long as the process (metrics, health, the last errors);
//! - [`snapshot`]: one configuration and everything it makes, shared by all workers. Its structure never changes; counters,
//!   breakers and limiters in it do;
//! - [`worker`]: what one thread has for itself (connections to upstreams, verified tokens).
//!
//! [`current`] holds the snapshot in force and swaps it; [`thread_local`](mod@thread_local) gives each thread its worker for it.
//!
//! The tricky part is the swap. A request takes its worker once, at its start, by one atomic load, and keeps it to its last
//! byte; so a reload never changes anything under a request, and needs no lock. What a reload must not lose (counters,
//! limits, breakers, connections) are handles that the next snapshot takes over where their settings are equal.

mod request_count;

pub(crate) mod process;
pub(crate) mod snapshot;
pub(crate) mod worker;

pub(crate) mod current;
pub(crate) mod thread_local;

pub(crate) mod documents;
