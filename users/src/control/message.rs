//! What a command asks for, and the answers: plain values, which become domain types only where they are checked. Knows
//! neither the store nor how a message travels.

use std::fmt;

use chassis::{identity::UserId, timestamp::Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::domain::{Email, FullName, Lock, User};

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Answered with a page of accounts.
    List(ListRequest),
    /// Answered with the account.
    Show { user: String },
    /// Answered with the account.
    Create(CreateRequest),
    /// Answered with the account.
    SetPassword { user: String, password: Password },
    /// Answered with the account.
    Lock { user: String, by: String, reason: Option<String> },
    /// Answered with the account.
    Unlock { user: String },
}

/// One page of the users, by id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ListRequest {
    /// Only users whose username, e-mail address or full name has this text in it.
    pub(crate) query: Option<String>,
    /// Only users of this type.
    pub(crate) user_type: Option<String>,
    /// Only users who are locked.
    pub(crate) only_locked: bool,
    /// Only users whose ids follow this one.
    pub(crate) after: Option<UserId>,
    /// Maximum number of users.
    pub(crate) limit: usize,
}

/// A user to be created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CreateRequest {
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) user_type: String,
    pub(crate) password: Password,
}

/// A password as it was entered. Wiped from memory when dropped, and not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Password(pub(crate) Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A user as commands show it: without the hash of its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) user_type: String,
    pub(crate) locked: Option<LockInfo>,
    pub(crate) created_by: Option<UserId>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
}

/// Why a user may not sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockInfo {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

impl From<&Lock> for LockInfo {
    fn from(lock: &Lock) -> Self {
        let reason = lock.reason.as_ref().map(|reason| reason.as_str().to_owned());
        Self { at: lock.at, by: lock.by.as_str().to_owned(), reason }
    }
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            email: user.email.as_ref().map(Email::as_str).map(str::to_owned),
            full_name: user.full_name.as_ref().map(FullName::as_str).map(str::to_owned),
            user_type: user.user_type.as_str().to_owned(),
            locked: user.locked.as_deref().map(LockInfo::from),
            created_by: user.created_by,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
