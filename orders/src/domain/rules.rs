//! Why a request about an order is refused.

use super::order::Status;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such order")]
    NotFound,
    #[error("the order has changed since the caller read it")]
    PreconditionFailed,
    #[error("another order was created with this idempotency key")]
    KeyReused,
    #[error("the order is {}, and cannot become {}", .from.name(), .to.name())]
    WrongState { from: Status, to: Status },
}
