//! Decides which changes of users are refused. Knows neither where users are stored nor who makes the request.

use std::collections::BTreeSet;

use chassis::identity::UserId;

use super::user::{User, UserType};

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such user")]
    NotFound,
    #[error("the user has changed since it was read")]
    PreconditionFailed,
    #[error("the user is protected")]
    ProtectedUser,
    #[error("the last admin must remain")]
    LastAdmin,
    #[error("the username is taken")]
    UsernameTaken,
    #[error("the e-mail address is taken")]
    EmailTaken,
    #[error("the password has changed since it was verified")]
    PasswordChanged,
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    #[error("the cursor is of another life of the store")]
    CursorGone,
}

/// Users that are never deleted or demoted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protection(pub(crate) BTreeSet<UserId>);

impl Protection {
    /// Checks whether the type of `user` may become `after`, where `None` means its deletion. `admins` is the number of all
    /// admins, including this user.
    pub(crate) fn check(&self, user: &User, after: Option<UserType>, admins: usize) -> Result<(), Refusal> {
        let is_demoted = user.user_type == UserType::Admin && after != Some(UserType::Admin);
        if self.0.contains(&user.id) && (is_demoted || after.is_none()) {
            return Err(Refusal::ProtectedUser);
        }
        if is_demoted && admins <= 1 {
            return Err(Refusal::LastAdmin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use UserType::{Admin, Default};

    use super::*;
    use crate::domain::{NewUser, UserName};

    fn user(id: i64, user_type: UserType) -> User {
        let new = NewUser {
            username: UserName::parse("ann").unwrap(),
            email: None,
            full_name: None,
            user_type,
            hashed_password: "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap(),
            created_by: None,
        };
        new.into_user(UserId(id), chassis::timestamp::Timestamp::from_unix_micros(0).unwrap())
    }

    #[test]
    fn protected_users_and_the_last_admin_stay() {
        let protection = Protection(BTreeSet::from([UserId(1), UserId(2)]));
        for (id, user_type, after, admins, expected) in [
            (1, Admin, None, 5, Err(Refusal::ProtectedUser)),
            (1, Admin, Some(Default), 5, Err(Refusal::ProtectedUser)),
            (1, Admin, Some(Admin), 1, Ok(())),
            (2, Default, None, 5, Err(Refusal::ProtectedUser)),
            (2, Default, Some(Admin), 5, Ok(())),
            (3, Admin, None, 1, Err(Refusal::LastAdmin)),
            (3, Admin, Some(Default), 1, Err(Refusal::LastAdmin)),
            (3, Admin, Some(Admin), 1, Ok(())),
            (3, Admin, None, 2, Ok(())),
            (3, Admin, Some(Default), 2, Ok(())),
            (4, Default, None, 1, Ok(())),
            (4, Default, Some(Default), 1, Ok(())),
        ] {
            assert_eq!(protection.check(&user(id, user_type), after, admins), expected, "{id} {user_type:?} {after:?}");
        }
    }
}
