//! The one map from errors of the store to problems.

use chassis::problem::{Code, Problem};

use crate::store::StoreError;

/// A batch takes milliseconds: the queue is shorter a second later.
const RETRY_AFTER_SECONDS: u32 = 1;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Busy | StoreError::Closed => Self::overloaded(RETRY_AFTER_SECONDS).because(error),
            StoreError::Full => {
                Self::new(Code::StorageFull, "there is no space left to keep this; nothing was changed").because(error)
            }
            StoreError::OutcomeUnknown(_) => Self::new(
                Code::OutcomeUnknown,
                "the order may or may not have been made; look at the list of orders before trying again",
            )
            .because(error),
            StoreError::Failed { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_store_has_its_code() {
        for (error, code, status) in [
            (StoreError::NotFound, Code::NotFound, 404),
            (StoreError::Busy, Code::Overloaded, 503),
            (StoreError::Closed, Code::Overloaded, 503),
            (StoreError::Full, Code::StorageFull, 507),
            (StoreError::unknown_for_tests(), Code::OutcomeUnknown, 503),
            (StoreError::failed_for_tests(), Code::Internal, 500),
        ] {
            let shown = error.to_string();
            let problem = Problem::from(error);
            assert_eq!((problem.code(), problem.status().as_u16()), (code, status), "{shown}");
            let retry_after = problem.to_response().headers().get("retry-after").cloned();
            assert_eq!(retry_after.is_some(), code == Code::Overloaded, "{shown}");
            assert!(!problem.detail().contains("secret"), "{shown}: the cause is for the log only");
        }
    }
}
