//! What a command asks for, and the answers: plain values, which become domain types only where they are checked. Knows
//! neither the store nor how a message travels.

use chassis::{identity::UserId, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{Email, FullName, User};

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Answered with a page of accounts.
    List(ListRequest),
    /// Answered with the account.
    Show { user: String },
}

/// One page of the users, by id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ListRequest {
    /// Only users whose username, e-mail address or full name has this text in it.
    pub(crate) query: Option<String>,
    /// Only users of this type.
    pub(crate) user_type: Option<String>,
    /// Only users whose ids follow this one.
    pub(crate) after: Option<UserId>,
    /// Maximum number of users.
    pub(crate) limit: usize,
}

/// A user as commands show it: without the hash of its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) user_type: String,
    pub(crate) created_by: Option<UserId>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            email: user.email.as_ref().map(Email::as_str).map(str::to_owned),
            full_name: user.full_name.as_ref().map(FullName::as_str).map(str::to_owned),
            user_type: user.user_type.as_str().to_owned(),
            created_by: user.created_by,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
