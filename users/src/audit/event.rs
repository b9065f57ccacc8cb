//! What is recorded: an event, by its name, and what is known of it. Pure.
//!
//! Every text in it is bounded, most of them by what made them: names of users by the domain, request ids by the chassis.

use std::net::IpAddr;

use chassis::identity::UserId;
use serde::{Deserialize, Serialize};

use crate::domain::User;

/// Maximum length of the id of a session; ours have 22 characters.
const SESSION_CHARS_MAX: usize = 64;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    ServiceStarted,
    ServiceStopped,
    FirstUsersCreated,
    SignedIn,
    SignInFailed,
    SignInDelayed,
    PasswordChangeFailed,
    PasswordChangeDelayed,
    FailuresNotListed,
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
    /// A rule forbids it.
    Refused,
    /// A fault prevented it.
    Failed,
}

/// Who asks for something, and from where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Initiator {
    /// The signed-in user; absent for a sign-in.
    pub(crate) user: Option<UserId>,
    pub(crate) session: Option<String>,
    /// The address of the client, as the gateway sees it.
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: Option<String>,
}

/// The account that an event is about, or that asks for something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub(crate) enum Account {
    Known {
        id: UserId,
        name: String,
    },
    /// By whom, where only the id is at hand.
    Id {
        id: UserId,
    },
    /// A name that no user has, which may well be a password that somebody typed into the wrong field: its keyed hash tells
    /// whether the same one comes again, and nothing else.
    Unknown {
        name_hash: String,
    },
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self::Known { id: user.id, name: user.username.as_str().to_owned() }
    }
}

/// Why a password was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// It is not the password of this user, or there is no such user.
    Wrong,
    /// Too many have been wrong before; it was not looked at.
    Delayed,
}

/// One event: what a line has beside its place in the chain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    event: Kind,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// What only some events have.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Details {
    Started { version: &'static str, process: u32 },
    FirstUsers { demo: bool, users: Vec<Installed> },
    File(Removed),
    Cut { file: String, bytes: u64 },
    Lost { events: u64 },
    Repeated { times: u64 },
}

/// What makes two failures the same: the kind, the account, and the address.
pub(super) type FailureKey = (Kind, Option<Account>, Option<IpAddr>);

/// A first user with its rights.
#[derive(Clone, Debug, Serialize)]
struct Installed {
    id: UserId,
    name: String,
    user_type: &'static str,
}

impl From<&User> for Installed {
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
        Self { event, outcome, user: None, by: None, session: None, address: None, request_id: None, details: None }
    }

    fn from_client(event: Kind, outcome: Outcome, user: Option<Account>, initiator: Initiator) -> Self {
        let Initiator { user: by, session, address, request_id } = initiator;
        let session = session.filter(|id| id.len() <= SESSION_CHARS_MAX);
        let by = by.map(|id| Account::Id { id });
        Self { user, by, session, address, request_id, ..Self::new(event, outcome) }
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
        let details = Details::FirstUsers { demo, users: users.iter().map(Installed::from).collect() };
        Self::new(Kind::FirstUsersCreated, Outcome::Done).with(details)
    }

    /// A user has signed in.
    pub(crate) fn signed_in(user: &User, initiator: Initiator) -> Self {
        Self::from_client(Kind::SignedIn, Outcome::Done, Some(user.into()), initiator)
    }

    /// Somebody could not sign in.
    pub(crate) fn sign_in_rejected(why: Rejection, account: Option<Account>, initiator: Initiator) -> Self {
        let event = match why {
            Rejection::Wrong => Kind::SignInFailed,
            Rejection::Delayed => Kind::SignInDelayed,
        };
        Self::from_client(event, Outcome::Refused, account, initiator)
    }

    /// A signed-in user did not know the current password.
    pub(crate) fn current_password_rejected(why: Rejection, user: &User, initiator: Initiator) -> Self {
        let event = match why {
            Rejection::Wrong => Kind::PasswordChangeFailed,
            Rejection::Delayed => Kind::PasswordChangeDelayed,
        };
        Self::from_client(event, Outcome::Refused, Some(user.into()), initiator)
    }

    /// What this failure is the same as; nothing else is ever repeated as often as somebody likes.
    pub(super) fn failure_key(&self) -> Option<FailureKey> {
        let is_failure = match self.event {
            Kind::SignInFailed | Kind::SignInDelayed | Kind::PasswordChangeFailed | Kind::PasswordChangeDelayed => true,
            Kind::ServiceStarted
            | Kind::ServiceStopped
            | Kind::FirstUsersCreated
            | Kind::SignedIn
            | Kind::FailuresNotListed
            | Kind::AuditMended
            | Kind::AuditDamaged
            | Kind::AuditFileRemoved
            | Kind::AuditEventsLost => false,
        };
        is_failure.then(|| (self.event, self.user.clone(), self.address))
    }

    /// The same failure has come so many times more.
    pub(super) fn repeated((event, user, address): FailureKey, times: u64) -> Self {
        Self { user, address, ..Self::new(event, Outcome::Refused).with(Details::Repeated { times }) }
    }

    /// So many other failures have come than those that are listed.
    pub(super) fn failures_not_listed(events: u64) -> Self {
        Self::new(Kind::FailuresNotListed, Outcome::Refused).with(Details::Lost { events })
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
