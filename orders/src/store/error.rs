//! Why the store did not do what it was asked. Knows no HTTP.

use chassis::store::StoreFault;

use crate::domain::Refusal;

/// A rule that refuses the request, or a fault of the store.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A rule of the domain forbids it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not do it.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}
