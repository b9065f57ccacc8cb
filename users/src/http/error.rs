//! Turns every error of the layers below into a problem. Exhaustive on purpose: a new error asks here for its answer.

use chassis::problem::{Code, Problem};

use crate::{domain::Refusal, passwords::PasswordsError, store::StoreError};

/// What a client waits before it tries again, in seconds: a full queue takes about so long.
const RETRY_SECONDS: u32 = 1;
/// A full queue of passwords takes about eight seconds; half of it is free after four.
const RETRY_PASSWORD_SECONDS: u32 = 4;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Refused(refusal) => of_refusal(*refusal),
            StoreError::Busy => Self::overloaded(RETRY_SECONDS),
            StoreError::Stopping => Self::overloaded(RETRY_SECONDS).because(error),
            StoreError::StorageFull(_) => {
                Self::new(Code::StorageFull, "there is no room to keep the change; nothing was changed").because(error)
            }
            StoreError::OutcomeUnknown(_) => {
                Self::new(Code::OutcomeUnknown, "the change may or may not have been made; read before you try again")
                    .because(error)
            }
            StoreError::WriteFailed(_) | StoreError::IdsExhausted => Self::internal(error),
        }
    }
}

fn of_refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::not_found(),
        Refusal::PreconditionFailed => {
            Problem::new(Code::PreconditionFailed, "the user has changed since you read it; read it again")
        }
        Refusal::ProtectedUser => {
            Problem::new(Code::ProtectedUser, "this user is protected: it cannot be deleted or lose its rights")
        }
        Refusal::LastAdmin => Problem::new(Code::LastAdmin, "this is the last admin; make another user an admin first"),
        Refusal::UsernameTaken => Problem::new(Code::UsernameTaken, "another user has this username"),
        Refusal::EmailTaken => Problem::new(Code::EmailTaken, "another user has this e-mail address"),
    }
}

impl From<PasswordsError> for Problem {
    fn from(error: PasswordsError) -> Self {
        match error {
            PasswordsError::Overloaded => Self::overloaded(RETRY_PASSWORD_SECONDS),
            PasswordsError::Failed(_) => Self::internal(error),
        }
    }
}
