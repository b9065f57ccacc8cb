//! The faults of a store, distinguished by what a caller can do about them, and their mapping to problems.
//!
//! A store either refuses a request because of a rule of its domain (no such user, name taken) or fails because of a
//! fault. Rules differ between services; faults are the same everywhere, and so are their answers.

use std::{error::Error, fmt, sync::Arc};

use crate::problem::{Code, Problem, error_chain};

/// Seconds after which a client should try again. A batch takes milliseconds: the queue is shorter a second later.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a store could not do what it was asked. Only after [`OutcomeUnknown`](Self::OutcomeUnknown) may something have
/// changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreFault {
    /// The queue is full (no source), or another process has locked the storage. Nothing was changed.
    #[error("the store is overloaded")]
    Busy(#[source] Option<Cause>),
    /// The store is shutting down. Nothing was changed.
    #[error("the store is stopping")]
    Stopping,
    /// There is no space left. Nothing was changed.
    #[error("the storage is full")]
    StorageFull(#[source] Cause),
    /// A write may or may not be durable. Nothing is written any more, and the process ends.
    #[error("the outcome of a write is unknown")]
    OutcomeUnknown(#[source] Cause),
    /// Any other fault. Nothing was changed.
    #[error("cannot {operation}")]
    Failed {
        /// What was tried: "insert an order".
        operation: &'static str,
        #[source]
        cause: Cause,
    },
}

impl StoreFault {
    /// A failure of `operation`, which names what was tried: "insert an order".
    pub fn failed(operation: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { operation, cause: Cause::new(cause) }
    }

    /// The fault with all its sources, for the log.
    pub fn chain(&self) -> String {
        error_chain(self)
    }
}

/// The error behind a fault, for the log only. Shared by all changes of a batch that failed together.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        let problem = match fault {
            StoreFault::Busy(_) | StoreFault::Stopping => Self::overloaded(RETRY_AFTER_SECONDS),
            StoreFault::StorageFull(_) => {
                Self::new(Code::StorageFull, "there is no space left to store the change; nothing was changed")
            }
            StoreFault::OutcomeUnknown(_) => Self::new(
                Code::OutcomeUnknown,
                "the change may or may not have been stored; read the current state before trying again",
            ),
            StoreFault::Failed { .. } => return Self::internal(fault),
        };
        problem.because(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_answer_and_keeps_its_cause_for_the_log() {
        let cause = || Cause::new("secret");
        for (fault, code, status) in [
            (StoreFault::Busy(None), Code::Overloaded, 503),
            (StoreFault::Busy(Some(cause())), Code::Overloaded, 503),
            (StoreFault::Stopping, Code::Overloaded, 503),
            (StoreFault::StorageFull(cause()), Code::StorageFull, 507),
            (StoreFault::OutcomeUnknown(cause()), Code::OutcomeUnknown, 503),
            (StoreFault::failed("insert an order", "secret"), Code::Internal, 500),
        ] {
            let shown = fault.chain();
            let has_cause = !matches!(fault, StoreFault::Busy(None) | StoreFault::Stopping);
            assert_eq!(shown.ends_with(": secret"), has_cause, "{shown}");
            let problem = Problem::from(fault);
            assert_eq!((problem.code(), problem.status().as_u16()), (code, status), "{shown}");
            let retry_after = problem.to_response().headers().get("retry-after").cloned();
            assert_eq!(retry_after.is_some(), code == Code::Overloaded, "{shown}");
            assert!(!problem.detail().contains("secret"), "{shown}");
        }
    }
}
