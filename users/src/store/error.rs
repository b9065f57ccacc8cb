//! Why the store did not do what it was asked. Knows no HTTP.

use std::path::PathBuf;

use chassis::{config::StartError, store::StoreFault};

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

/// Why the store was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has locked the folder.
    InUse {
        folder: PathBuf,
        /// `process 7`, or `another process`.
        holder: String,
    },
    Failed(StartError),
}

impl From<StartError> for OpenError {
    fn from(error: StartError) -> Self {
        Self::Failed(error)
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Failed(error) => error,
            OpenError::InUse { folder, holder } => Self::failed(format!(
                "the data folder {} is in use by {holder}; stop it, or set USERS_DATA_DIR to another folder",
                folder.display()
            )),
        }
    }
}
