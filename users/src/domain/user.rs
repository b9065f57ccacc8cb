//! A user, a user to be created, and a change of a user.

use std::{fmt, str::FromStr};

use chassis::{
    fields::Change,
    identity::{ADMIN, UserId},
    timestamp::Timestamp,
};
use serde_json::{Map, Value};

use super::{
    name::{Email, FullName, Remark, UserName},
    password::PasswordHash,
};

/// Maximum id: 2^53 - 1 is the largest integer that every JSON parser represents exactly (RFC 8259, section 6).
pub(crate) const ID_MAX: i64 = (1 << 53) - 1;

/// The rights of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserType {
    Admin,
    Default,
}

impl UserType {
    /// The name of the type.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => ADMIN,
            Self::Default => "default",
        }
    }
}

impl FromStr for UserType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            ADMIN => Ok(Self::Admin),
            "default" => Ok(Self::Default),
            _ => Err("must be `admin` or `default`".to_owned()),
        }
    }
}

/// Fields of a record that this version does not know. They are stored unchanged, so that going back to the program that
/// wrote them loses nothing, and clients never see them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct UnknownFields(pub(crate) Map<String, Value>);

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} unknown fields]", self.0.len())
    }
}

/// Why a user may not sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) at: Timestamp,
    /// The account of the operating system that locked the user.
    pub(crate) by: Remark,
    pub(crate) reason: Option<Remark>,
}

/// A user. A record is never modified, only replaced by its next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) username: UserName,
    pub(crate) email: Option<Email>,
    pub(crate) full_name: Option<FullName>,
    pub(crate) user_type: UserType,
    pub(crate) hashed_password: PasswordHash,
    /// Present where the user may not sign in. In a box, since few users have it.
    pub(crate) locked: Option<Box<Lock>>,
    /// The admin who created this user; absent for the first users.
    pub(crate) created_by: Option<UserId>,
    /// Absent for users of the Python system.
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    /// Counts the versions that clients see, from 1; it makes the `ETag`.
    pub(crate) version: u64,
    pub(crate) unknown: UnknownFields,
}

/// A user to be created.
#[derive(Clone, Debug)]
pub(crate) struct NewUser {
    pub(crate) username: UserName,
    pub(crate) email: Option<Email>,
    pub(crate) full_name: Option<FullName>,
    pub(crate) user_type: UserType,
    pub(crate) hashed_password: PasswordHash,
    pub(crate) created_by: Option<UserId>,
}

impl NewUser {
    /// The first version of the user.
    pub(crate) fn into_user(self, id: UserId, now: Timestamp) -> User {
        User {
            id,
            username: self.username,
            email: self.email,
            full_name: self.full_name,
            user_type: self.user_type,
            hashed_password: self.hashed_password,
            locked: None,
            created_by: self.created_by,
            created_at: Some(now),
            updated_at: Some(now),
            version: 1,
            unknown: UnknownFields::default(),
        }
    }
}

/// A change of a user: absent fields stay as they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserEdit {
    pub(crate) username: Option<UserName>,
    pub(crate) email: Change<Email>,
    pub(crate) full_name: Change<FullName>,
    pub(crate) user_type: Option<UserType>,
}

impl User {
    /// The next version of this user, or the same version if the edit changes nothing.
    pub(crate) fn edited(&self, edit: UserEdit, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.username = edit.username.unwrap_or(next.username);
        next.email = edit.email.apply_to(next.email);
        next.full_name = edit.full_name.apply_to(next.full_name);
        next.user_type = edit.user_type.unwrap_or(next.user_type);
        if next != *self {
            next.version += 1;
            next.updated_at = Some(now);
        }
        next
    }

    /// The next version of this user, locked or not. Its version differs, so that a login that is being verified finds out.
    pub(crate) fn with_lock(&self, locked: Option<Lock>, now: Timestamp) -> Self {
        let locked = locked.map(Box::new);
        Self { locked, version: self.version + 1, updated_at: Some(now), ..self.clone() }
    }

    /// Whether this user can sign in and manage users.
    pub(crate) fn is_active_admin(&self) -> bool {
        self.user_type == UserType::Admin && self.locked.is_none()
    }

    /// The next version of this user, with another password. Its version differs, so that a login that has verified the old
    /// password finds out.
    pub(crate) fn with_password(&self, hashed_password: PasswordHash, now: Timestamp) -> Self {
        Self { hashed_password, version: self.version + 1, updated_at: Some(now), ..self.clone() }
    }

    /// The same user with another hash of the same password. It is not a new version, because clients see no change.
    pub(crate) fn with_hash(&self, hashed_password: PasswordHash) -> Self {
        Self { hashed_password, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> User {
        let hash = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap();
        let new = NewUser {
            username: UserName::parse("ann").unwrap(),
            email: Some(Email::parse("ann@example.com").unwrap()),
            full_name: None,
            user_type: UserType::Default,
            hashed_password: hash,
            created_by: Some(UserId(1)),
        };
        new.into_user(UserId(7), at(1))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_micros(second * 1_000_000).unwrap()
    }

    #[test]
    fn an_edit_makes_the_next_version_only_if_it_changes_something() {
        let same = UserEdit { username: Some(UserName::parse("ann").unwrap()), ..UserEdit::default() };
        assert_eq!(ann().edited(same, at(2)), ann());
        let next = ann().edited(UserEdit { email: Change::Clear, ..UserEdit::default() }, at(2));
        assert_eq!((next.version, next.updated_at, next.email), (2, Some(at(2)), None));
        assert_eq!(next.created_at, Some(at(1)));
    }

    #[test]
    fn another_password_is_a_new_version_and_a_rehash_is_none() {
        let hash: PasswordHash = "$2b$10$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap();
        let changed = ann().with_password(hash.clone(), at(2));
        assert_eq!((&changed.hashed_password, changed.version, changed.updated_at), (&hash, 2, Some(at(2))));
        let rehashed = ann().with_hash(hash.clone());
        assert_eq!((rehashed.hashed_password, rehashed.version, rehashed.updated_at), (hash, 1, Some(at(1))));
    }

    #[test]
    fn a_user_type_is_one_of_two() {
        for (text, valid) in [("admin", true), ("default", true), ("Admin", false), ("root", false), ("", false)] {
            assert_eq!(text.parse::<UserType>().is_ok(), valid, "{text}");
        }
    }
}
