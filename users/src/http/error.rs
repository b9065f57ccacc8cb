//! Turns every error of the layers below into a problem. Exhaustive on purpose: a new error must have its answer here.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use chassis::problem::{Code, Problem};

use super::contract::wrong_current_password;
use crate::{domain::Refusal, passwords::PasswordsError, store::StoreError};

/// Seconds after which a client should try again. A full queue of passwords takes about eight seconds to drain; half of
/// it is free after four.
const RETRY_AFTER_SECONDS: u32 = 4;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => of_refusal(refusal),
            StoreError::Fault(fault) => fault.into(),
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
        // Another change with the same current password was first.
        Refusal::PasswordChanged => wrong_current_password(),
        Refusal::InvalidRefreshToken => Problem::new(
            Code::InvalidRefreshToken,
            "the refresh token is unknown, has been used, or its session has ended; sign in again",
        ),
        Refusal::CursorGone => {
            Problem::new(Code::CursorGone, "the service has restarted since; begin again without `since`")
        }
        Refusal::EmailTaken => Problem::new(Code::EmailTaken, "another user has this e-mail address"),
    }
}

/// The problem for a request about the caller's own account. A token outlives a deleted account (RFC 6750, section 3.1).
pub(super) fn of_own_account(error: StoreError) -> Problem {
    match error {
        StoreError::Refused(Refusal::NotFound) => account_is_gone("has been deleted"),
        StoreError::Refused(_) | StoreError::Fault(_) => error.into(),
    }
}

/// The problem for a token whose account cannot be used any more.
pub(super) fn account_is_gone(why: &str) -> Problem {
    Problem::new(Code::TokenInvalid, format!("the account that the token was made for {why}"))
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

impl From<PasswordsError> for Problem {
    fn from(error: PasswordsError) -> Self {
        match error {
            PasswordsError::Overloaded => Self::overloaded(RETRY_AFTER_SECONDS),
            PasswordsError::TooManyGuesses(wait) => too_many_guesses(wait),
            PasswordsError::Failed(_) => Self::internal(error),
        }
    }
}

/// Says nothing about which of the counts was too high: it would tell an attacker what to change.
fn too_many_guesses(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    Problem::new(Code::RateLimited, format!("too many sign-ins have failed; try again in {seconds} s"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}
