//! What is recorded: an event, by its name, and what is known of it. Pure.
//!
//! Every text in it is bounded, most of them by what made them: names of users by the domain, request ids by the chassis.

use std::net::IpAddr;

use chassis::identity::UserId;
use serde::{Deserialize, Serialize};

use super::settings::Opener;
use crate::domain::{Email, EndReason, FullName, Session, SessionId, User};

/// Maximum length of the id of a session; ours have 22 characters.
const SESSION_CHARS_MAX: usize = 64;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    ServiceStarted,
    ServiceStopped,
    CommandStarted,
    CommandEnded,
    FirstUsersCreated,
    UserCreated,
    UserChanged,
    UserLocked,
    UserUnlocked,
    UserDeleted,
    PasswordChanged,
    PasswordReset,
    SignedIn,
    SessionRefreshed,
    SessionEnded,
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
    pub(crate) user: Option<Account>,
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
    /// Where only the id is at hand.
    Id {
        id: UserId,
    },
    /// Whoever may run commands on this machine as the account of the service.
    Command {
        program: &'static str,
    },
    /// A name that no user has, which may well be a password that somebody typed into the wrong field: its keyed hash tells
    /// whether the same one comes again, and nothing else.
    Unknown {
        name_hash: String,
    },
}

impl Initiator {
    /// A command, such as `users create`.
    pub(crate) fn command() -> Self {
        Self { user: Some(Account::Command { program: "users" }), ..Self::default() }
    }
}

impl Account {
    pub(crate) const fn id(&self) -> Option<UserId> {
        match self {
            Self::Known { id, .. } | Self::Id { id } => Some(*id),
            Self::Command { .. } | Self::Unknown { .. } => None,
        }
    }
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
    Started {
        version: &'static str,
        process: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        demo: Option<bool>,
    },
    FirstUsers {
        users: Vec<Installed>,
    },
    File(Removed),
    Cut {
        file: String,
        bytes: u64,
    },
    Lost {
        events: u64,
    },
    Repeated {
        times: u64,
    },
    Created {
        user_type: &'static str,
    },
    Changed(Changed),
    Session {
        session: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    },
}

/// Which fields of a user have changed. What is in them is personal, but for the name and the rights.
#[derive(Clone, Debug, Serialize)]
struct Changed {
    fields: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_user_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_user_type: Option<&'static str>,
}

impl Changed {
    fn between(before: &User, after: &User) -> Self {
        let text = |user: &User| {
            let email = user.email.as_ref().map(|email| Email::as_str(email).to_owned());
            (email, user.full_name.as_ref().map(|name| FullName::as_str(name).to_owned()))
        };
        let ((old_email, old_full_name), (new_email, new_full_name)) = (text(before), text(after));
        let has_other_name = before.username.as_str() != after.username.as_str();
        let has_other_type = before.user_type != after.user_type;
        let fields = [
            ("username", has_other_name),
            ("email", old_email != new_email),
            ("full_name", old_full_name != new_full_name),
            ("user_type", has_other_type),
        ];
        Self {
            fields: fields.into_iter().filter(|(_, has_changed)| *has_changed).map(|(name, _)| name).collect(),
            new_name: has_other_name.then(|| after.username.as_str().to_owned()),
            old_user_type: has_other_type.then(|| before.user_type.as_str()),
            new_user_type: has_other_type.then(|| after.user_type.as_str()),
        }
    }
}

/// What makes two events the same where they can be repeated without end: the kind, the account, and the address.
pub(super) type RepeatKey = (Kind, Option<Account>, Option<IpAddr>);

/// Whether somebody can cause an event again and again, at no cost.
pub(super) enum Repeatable {
    No,
    /// Anybody can, for as many accounts as they like.
    Failure(RepeatKey),
    /// A signed-in user can, for the own account.
    OwnAccount(RepeatKey),
}

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
        Self { user, by, session, address, request_id, ..Self::new(event, outcome) }
    }

    fn with(self, details: Details) -> Self {
        Self { details: Some(details), ..self }
    }

    /// A program begins to use the data folder.
    pub(super) fn started(opener: Opener) -> Self {
        let (event, demo) = match opener {
            Opener::Service { demo } => (Kind::ServiceStarted, Some(demo)),
            Opener::Command => (Kind::CommandStarted, None),
        };
        let details = Details::Started { version: env!("CARGO_PKG_VERSION"), process: std::process::id(), demo };
        Self::new(event, Outcome::Done).with(details)
    }

    /// The program has ended in order.
    pub(super) const fn ended(opener: Opener) -> Self {
        let event = match opener {
            Opener::Service { .. } => Kind::ServiceStopped,
            Opener::Command => Kind::CommandEnded,
        };
        Self::new(event, Outcome::Done)
    }

    /// An empty store gets its first users, those of the demo or an admin; nothing where there are none.
    pub(crate) fn first_users_created(users: &[User]) -> Option<Self> {
        let details = Details::FirstUsers { users: users.iter().map(Installed::from).collect() };
        (!users.is_empty()).then(|| Self::new(Kind::FirstUsersCreated, Outcome::Done).with(details))
    }

    /// A user has been created.
    pub(crate) fn user_created(user: &User, initiator: Initiator) -> Self {
        let details = Details::Created { user_type: user.user_type.as_str() };
        Self::from_client(Kind::UserCreated, Outcome::Done, Some(user.into()), initiator).with(details)
    }

    /// A user has another name, address or rights.
    pub(crate) fn user_changed(before: &User, after: &User, initiator: Initiator) -> Self {
        let details = Details::Changed(Changed::between(before, after));
        Self::from_client(Kind::UserChanged, Outcome::Done, Some(before.into()), initiator).with(details)
    }

    /// A user cannot sign in any more, or can again.
    pub(crate) fn lock_set(after: &User, initiator: Initiator) -> Self {
        let event = if after.locked.is_some() { Kind::UserLocked } else { Kind::UserUnlocked };
        Self::from_client(event, Outcome::Done, Some(after.into()), initiator)
    }

    /// A user has been deleted.
    pub(crate) fn user_deleted(user: &User, initiator: Initiator) -> Self {
        Self::from_client(Kind::UserDeleted, Outcome::Done, Some(user.into()), initiator)
    }

    /// A user has another password, by the own hand or by that of somebody else.
    pub(crate) fn password_set(user: &User, initiator: Initiator) -> Self {
        let is_own = initiator.user.as_ref().and_then(Account::id) == Some(user.id);
        let event = if is_own { Kind::PasswordChanged } else { Kind::PasswordReset };
        Self::from_client(event, Outcome::Done, Some(user.into()), initiator)
    }

    /// A user has signed in, and a session is open.
    pub(crate) fn signed_in(user: Account, session: &Session, initiator: Initiator) -> Self {
        let details = Details::Session { session: session.id.to_string(), reason: None };
        Self::from_client(Kind::SignedIn, Outcome::Done, Some(user), initiator).with(details)
    }

    /// The refresh token of a session has been exchanged for the next one.
    pub(crate) fn session_refreshed(user: Account, session: &Session, initiator: Initiator) -> Self {
        let details = Details::Session { session: session.id.to_string(), reason: None };
        Self::from_client(Kind::SessionRefreshed, Outcome::Done, Some(user), initiator).with(details)
    }

    /// A session has ended, other than by time.
    pub(crate) fn session_ended(user: Account, session: SessionId, reason: EndReason, initiator: Initiator) -> Self {
        let details = Details::Session { session: session.to_string(), reason: Some(reason.as_str()) };
        Self::from_client(Kind::SessionEnded, Outcome::Done, Some(user), initiator).with(details)
    }

    /// What this event announced has not happened after all.
    pub(crate) fn failed(self) -> Self {
        Self { outcome: Outcome::Failed, ..self }
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

    /// Whether this event can be repeated without end.
    pub(super) fn repeatable(&self) -> Repeatable {
        let key = || (self.event, self.user.clone(), self.address);
        let is_own = || self.by.is_some() && self.by == self.user;
        match self.event {
            Kind::SignInFailed | Kind::SignInDelayed | Kind::PasswordChangeFailed | Kind::PasswordChangeDelayed => {
                Repeatable::Failure(key())
            }
            Kind::SessionRefreshed => Repeatable::OwnAccount(key()),
            Kind::UserChanged if is_own() => Repeatable::OwnAccount(key()),
            Kind::ServiceStarted
            | Kind::ServiceStopped
            | Kind::CommandStarted
            | Kind::CommandEnded
            | Kind::FirstUsersCreated
            | Kind::UserCreated
            | Kind::UserChanged
            | Kind::UserLocked
            | Kind::UserUnlocked
            | Kind::UserDeleted
            | Kind::PasswordChanged
            | Kind::PasswordReset
            | Kind::SignedIn
            | Kind::SessionEnded
            | Kind::FailuresNotListed
            | Kind::AuditMended
            | Kind::AuditDamaged
            | Kind::AuditFileRemoved
            | Kind::AuditEventsLost => Repeatable::No,
        }
    }

    /// The same event has come so many times more.
    pub(super) fn repeated((event, user, address): RepeatKey, times: u64) -> Self {
        let is_done = matches!(event, Kind::SessionRefreshed | Kind::UserChanged);
        let outcome = if is_done { Outcome::Done } else { Outcome::Refused };
        Self { user, address, ..Self::new(event, outcome).with(Details::Repeated { times }) }
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
