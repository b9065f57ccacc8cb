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
    #[error("the user is protected: it cannot be deleted or locked, or lose its rights")]
    ProtectedUser,
    #[error("this is the last admin who can sign in; make another user an admin first")]
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

/// Users that are never deleted, demoted or locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protection(pub(crate) BTreeSet<UserId>);

impl Protection {
    /// Checks whether `user` may become `after`, where `None` means its deletion. `active_admins` is the number of admins who
    /// can sign in, including this user if it can.
    pub(crate) fn check(&self, user: &User, after: Option<&User>, active_admins: usize) -> Result<(), Refusal> {
        let is_demoted = |after: &User| user.user_type == UserType::Admin && after.user_type != UserType::Admin;
        let is_locked = |after: &User| user.locked.is_none() && after.locked.is_some();
        if self.0.contains(&user.id) && after.is_none_or(|after| is_demoted(after) || is_locked(after)) {
            return Err(Refusal::ProtectedUser);
        }
        let stays_active = after.is_some_and(User::is_active_admin);
        if user.is_active_admin() && !stays_active && active_admins <= 1 {
            return Err(Refusal::LastAdmin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use UserType::{Admin, Default};

    use super::*;
    use crate::domain::{Lock, NewUser, Remark, UserName};

    const EPOCH: fn() -> chassis::timestamp::Timestamp = || chassis::timestamp::Timestamp::from_unix_micros(0).unwrap();

    fn locked(user: &User) -> User {
        user.with_lock(Some(Lock { at: EPOCH(), by: Remark::parse("root").unwrap(), reason: None }), EPOCH())
    }

    fn user(id: i64, user_type: UserType) -> User {
        let new = NewUser {
            username: UserName::parse("ann").unwrap(),
            email: None,
            full_name: None,
            user_type,
            hashed_password: "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap(),
            created_by: None,
        };
        new.into_user(UserId(id), EPOCH())
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
            let changed = after.map(|after| user(id, after));
            let checked = protection.check(&user(id, user_type), changed.as_ref(), admins);
            assert_eq!(checked, expected, "{id} {user_type:?} {after:?}");
        }
    }

    #[test]
    fn protected_users_and_the_last_admin_are_not_locked_and_a_locked_admin_is_not_the_last() {
        let protection = Protection(BTreeSet::from([UserId(1), UserId(2)]));
        for (id, user_type, admins, expected) in [
            (1, Admin, 5, Err(Refusal::ProtectedUser)),
            (2, Default, 5, Err(Refusal::ProtectedUser)),
            (3, Admin, 1, Err(Refusal::LastAdmin)),
            (3, Admin, 2, Ok(())),
            (4, Default, 1, Ok(())),
        ] {
            let user = user(id, user_type);
            assert_eq!(protection.check(&user, Some(&locked(&user)), admins), expected, "{id} {user_type:?}");
        }
        let gone = locked(&user(3, Admin));
        assert_eq!(protection.check(&gone, None, 1), Ok(()), "another one is the last");
        assert_eq!(protection.check(&gone, Some(&user(3, Admin)), 1), Ok(()), "unlocked");
        let protected = locked(&user(1, Admin));
        assert_eq!(protection.check(&protected, Some(&protected), 1), Ok(()), "as it is");
    }
}
