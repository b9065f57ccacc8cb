//! What the stores of all services have in common: bounded queues, group commit, fail-stop, faults and metrics.
//!
//! Each service has a store: a handle that hides one or more actors, which own the state and make it durable. What such
//! an actor does with a change is its own affair (`users` stages it and can undo it, `orders` uses savepoints of the
//! database), so that there is no generic actor here. Knows neither what is stored nor where.
//!
//! The words that hold in every store:
//!
//! - **Permit**: a place in the queue of an actor. It is taken before the message is sent ([`queue`]), and without one
//!   the answer is [`StoreFault::Busy`].
//! - **Group commit**: while one batch is being made durable, the next one gathers ([`batch`]). One `fsync` or one
//!   transaction answers every change of a batch.
//! - **Durable before visible**: a change is answered, and shown to readers, only once it is durable.
//! - **Fail-stop**: after a panic ([`fail_stop`]) or a write whose outcome is unknown ([`StoreFault::OutcomeUnknown`])
//!   the store does no further work and the process ends. The next start reads what the disk holds.

pub mod batch;
pub mod fail_stop;
pub mod fault;
pub mod folder;
pub mod lifecycle;
pub mod metrics;
pub mod new_file;
pub mod queue;

pub use batch::BatchLimits;
pub use fail_stop::AbortOnPanic;
pub use fault::StoreFault;
pub use lifecycle::{Ping, Shutdown};
pub use metrics::CommitMetrics;
pub use queue::{Admitted, Permit, Queue};
