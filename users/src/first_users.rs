//! The users of an empty store: those of the demo, or one admin.

use std::time::SystemTime;

use chassis::{
    config::{Secret, StartError},
    identity::UserId,
    timestamp::Timestamp,
};

use crate::{
    Settings,
    domain::{NewPassword, NewUser, PasswordPolicy, User, UserName, UserType},
    passwords, store,
};

const DEMO_USERS: &str = include_str!("../demo.json");
const ADMIN: &str = "admin";
/// A power of two, so that every character is as likely as every other; without `l` and `o`, which are misread.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 26 characters of 5 bits each are 130 bits.
const ONE_TIME_CHARS_MIN: usize = 26;

/// The users that an empty store starts with; `next_id` is the first id that nobody has had.
///
/// # Errors
/// Says what is wrong with the given password.
pub(crate) fn of(settings: &Settings, next_id: UserId) -> Result<Vec<User>, StartError> {
    if settings.demo {
        log::warn!("the demo users are installed; anybody knows their passwords");
        return store::read_users(DEMO_USERS).map_err(|mistakes| StartError::failed(mistakes.join("; ")));
    }
    let policy = PasswordPolicy { chars_min: settings.password_min };
    let username = UserName::parse(ADMIN).map_err(StartError::failed)?;
    let password = match &settings.admin_password {
        Some(secret) => policy.accept_secret(secret, &username).map_err(StartError::failed)?,
        None => one_time_password(policy)?,
    };
    let new = NewUser {
        username,
        email: None,
        full_name: None,
        user_type: UserType::Admin,
        hashed_password: passwords::hash_blocking(&password, settings.bcrypt_cost).map_err(StartError::failed)?,
        created_by: None,
    };
    Ok(vec![new.into_user(next_id, Timestamp::of(SystemTime::now()))])
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
