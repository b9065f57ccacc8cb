//! Makes the users that an empty store starts with: those of the demo, or one admin.

use std::time::SystemTime;

use chassis::{
    config::{Secret, StartError},
    identity::UserId,
    timestamp::Timestamp,
};

use crate::{
    domain::{NewPassword, NewUser, PasswordPolicy, User, UserName, UserType},
    passwords, store,
};

const DEMO_USERS: &str = include_str!("../demo.json");
const ADMIN: &str = "admin";
/// 32 characters, a power of two, so that every one is equally likely; without `l` and `o`, which are easily misread.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 26 characters of 5 bits each are 130 bits.
const ONE_TIME_CHARS_MIN: usize = 26;

/// Which users an empty store starts with.
pub(crate) struct FirstUsers {
    /// The demo users, instead of one admin.
    pub(crate) demo: bool,
    pub(crate) policy: PasswordPolicy,
    /// The cost of the hash of the admin's password.
    pub(crate) bcrypt_cost: u32,
    /// The password of the admin. Without one, a random password is generated and logged once.
    pub(crate) admin_password: Option<Secret>,
}

impl FirstUsers {
    /// Makes the users, with ids from `next_id`, the first one that was never used.
    ///
    /// # Errors
    /// Says what is wrong with the given password.
    pub(crate) fn create(self, next_id: UserId) -> Result<Vec<User>, StartError> {
        if self.demo {
            log::warn!("the demo users are installed; their passwords are public");
            return store::read_users(DEMO_USERS).map_err(|mistakes| StartError::failed(mistakes.join("; ")));
        }
        let username = UserName::parse(ADMIN).map_err(StartError::failed)?;
        let password = match &self.admin_password {
            Some(secret) => self.policy.accept_secret(secret, &username).map_err(StartError::failed)?,
            None => one_time_password(self.policy)?,
        };
        let new = NewUser {
            username,
            email: None,
            full_name: None,
            user_type: UserType::Admin,
            hashed_password: passwords::hash_blocking(&password, self.bcrypt_cost).map_err(StartError::failed)?,
            created_by: None,
        };
        Ok(vec![new.into_user(next_id, Timestamp::from(SystemTime::now()))])
    }
}

/// Whether the first admin may have this password.
pub(crate) fn check_admin_password(policy: PasswordPolicy, password: &Secret) -> Result<(), String> {
    policy.accept_secret(password, &UserName::parse(ADMIN)?).map(drop)
}

fn one_time_password(policy: PasswordPolicy) -> Result<NewPassword, StartError> {
    let mut random = vec![0; policy.chars_min.max(ONE_TIME_CHARS_MIN)];
    getrandom::fill(&mut random).map_err(|error| StartError::failed(format!("cannot make a password: {error}")))?;
    let text: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    log::warn!("there are no users yet: `{ADMIN}` may sign in with the password {text} (shown only this once)");
    policy.accept(&text, None).map_err(StartError::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_users_have_their_passwords() {
        let users = store::read_users(DEMO_USERS).unwrap();
        let expected = [
            (1, "admin", "a", UserType::Admin),
            (2, "demo", "b", UserType::Default),
            (3, "test", "test", UserType::Default),
        ];
        assert_eq!(users.len(), expected.len());
        for (user, (id, username, password, user_type)) in users.iter().zip(expected) {
            assert_eq!((user.id.0, user.username.as_str(), user.user_type), (id, username, user_type));
            assert!(bcrypt::verify(password, user.hashed_password.expose()).unwrap(), "{username}");
            assert_eq!(user.hashed_password.cost(), 10);
        }
    }

    #[test]
    fn one_time_passwords_satisfy_the_longest_policy() {
        for chars_min in [1, 15, 64] {
            assert!(one_time_password(PasswordPolicy { chars_min }).is_ok());
        }
    }
}
