//! What is recorded: an event, by its name, and what is known of it. Pure.

use chassis::identity::UserId;
use serde::{Deserialize, Serialize};

use crate::domain::User;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    ServiceStarted,
    ServiceStopped,
    FirstUsersCreated,
    AuditMended,
    AuditDamaged,
    AuditFileRemoved,
    AuditEventsLost,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Done,
    Failed,
}

/// One event: what a line has beside its place in the chain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    event: Kind,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// What only some events have.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Details {
    Started { version: &'static str, process: u32 },
    FirstUsers { demo: bool, users: Vec<Account> },
    File(Removed),
    Cut { file: String, bytes: u64 },
    Lost { events: u64 },
}

/// An account with its rights.
#[derive(Clone, Debug, Serialize)]
struct Account {
    id: UserId,
    name: String,
    user_type: &'static str,
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self { id: user.id, name: user.username.as_str().to_owned(), user_type: user.user_type.as_str() }
    }
}

/// A file of the log that was removed because of the maximum size of all files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Removed {
    pub(super) file: String,
    /// The hash of its last line, which the first line of the next file names.
    pub(super) last_hash: String,
}

impl Event {
    const fn new(event: Kind, outcome: Outcome) -> Self {
        Self { event, outcome, details: None }
    }

    fn with(self, details: Details) -> Self {
        Self { details: Some(details), ..self }
    }

    /// The service begins to use the data folder.
    pub(super) fn service_started() -> Self {
        let details = Details::Started { version: env!("CARGO_PKG_VERSION"), process: std::process::id() };
        Self::new(Kind::ServiceStarted, Outcome::Done).with(details)
    }

    /// The service has ended in order.
    pub(super) const fn service_stopped() -> Self {
        Self::new(Kind::ServiceStopped, Outcome::Done)
    }

    /// An empty store gets its first users, those of the demo or an admin.
    pub(crate) fn first_users_created(demo: bool, users: &[User]) -> Self {
        let details = Details::FirstUsers { demo, users: users.iter().map(Account::from).collect() };
        Self::new(Kind::FirstUsersCreated, Outcome::Done).with(details)
    }

    /// The end of the log, a write that a crash interrupted, was cut off.
    pub(super) fn mended(file: &str, bytes: u64) -> Self {
        Self::new(Kind::AuditMended, Outcome::Done).with(Details::Cut { file: file.to_owned(), bytes })
    }

    /// The end of the log cannot be read although it was written completely.
    pub(super) fn damaged(file: &str, bytes: u64) -> Self {
        Self::new(Kind::AuditDamaged, Outcome::Failed).with(Details::Cut { file: file.to_owned(), bytes })
    }

    /// The oldest file is about to be removed.
    pub(super) fn file_removed(removed: Removed) -> Self {
        Self::new(Kind::AuditFileRemoved, Outcome::Done).with(Details::File(removed))
    }

    /// Events could not be recorded.
    pub(super) fn events_lost(events: u64) -> Self {
        Self::new(Kind::AuditEventsLost, Outcome::Failed).with(Details::Lost { events })
    }
}
