//! Gets a command to the accounts: asks the service that has the folder, or opens the store where nobody has it.
//!
//! The tricky part is the moment in which neither is possible: a service has locked the folder and is still reading it, or
//! another command has it for a moment. So both are tried again for a while.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chassis::{config::StartError, identity::UserId};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::{
    message::{Account, CreateRequest, ListRequest, Password, Request},
    operations::Operations,
    socket::ControlClient,
};
use crate::{
    audit::{AuditSettings, Opener},
    domain::{PasswordPolicy, Protection, SessionLimits},
    passwords::Passwords,
    store::{OpenError, Rules, UsersStore},
};

/// How long to wait for whoever has the folder, and does not listen: more than a service takes to read a million users.
const IN_USE_WAIT: Duration = Duration::from_secs(10);
/// Interval between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Where the users are, and the rules for them.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The folder with the users.
    pub data_dir: PathBuf,
    /// Minimum length of a new password, in characters.
    pub password_min: usize,
    /// The cost of new bcrypt hashes.
    pub bcrypt_cost: u32,
    /// Users that are never deleted, demoted or locked.
    pub protected_ids: BTreeSet<UserId>,
    /// How long sessions live: those that are over are not written again.
    pub sessions: SessionLimits,
    /// How the audit log is kept.
    pub audit: AuditSettings,
}

impl AccountSettings {
    /// Checks that there is a folder, instead of making one by a mistake in its name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn check_folder(&self) -> Result<(), StartError> {
        let path = self.data_dir.display();
        match fs::metadata(&self.data_dir) {
            Ok(folder) if folder.is_dir() => Ok(()),
            Ok(_) => Err(StartError::failed(format!("{path} is no folder; set USERS_DATA_DIR, or --data-dir"))),
            Err(error) => Err(StartError::failed(format!(
                "there is no data folder at {path} ({error}); set USERS_DATA_DIR, or --data-dir"
            ))),
        }
    }
}

/// The accounts, for one command.
pub(crate) enum Access {
    /// The store was opened here.
    Opened(Box<Operations>),
    /// A service has it.
    Served(ControlClient),
}

impl Access {
    /// Finds the service, or opens the store. Needs an actix `System`.
    ///
    /// # Errors
    /// Says why neither is possible, who has the folder, and what to do about it.
    pub(crate) async fn open(settings: &AccountSettings) -> Result<Self, StartError> {
        settings.check_folder()?;
        let until = Instant::now() + IN_USE_WAIT;
        loop {
            let unreachable = match ControlClient::find(&settings.data_dir).await {
                Ok(client) => return Ok(Self::Served(client)),
                Err(error) => error,
            };
            check_owner(&settings.data_dir)?;
            match open_store(settings) {
                Ok(operations) => return Ok(Self::Opened(Box::new(operations))),
                Err(OpenError::InUse { .. }) if Instant::now() < until => sleep(RETRY_INTERVAL).await,
                Err(OpenError::InUse { folder, holder }) => {
                    return Err(StartError::failed(format!(
                        "the data folder {} is in use by {holder}, which does not answer on control.sock ({unreachable}). If it \
                         is another command, wait until it ends. If it is the service, its log says why it has no control \
                         socket; stop it, and run the command again",
                        folder.display()
                    )));
                }
                Err(OpenError::Failed(error)) => return Err(error),
            }
        }
    }

    /// One page of the users, by id.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn list(&self, list: ListRequest) -> Result<Vec<Account>, StartError> {
        self.ask(Request::List(list)).await
    }

    /// A user by its id or name.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn show(&self, user: &str) -> Result<Account, StartError> {
        self.ask(Request::Show { user: user.to_owned() }).await
    }

    /// Creates a user. Resolves once it is durable.
    ///
    /// # Errors
    /// Every mistake in it, or why it was not created.
    pub(crate) async fn create(&self, create: CreateRequest) -> Result<Account, StartError> {
        self.ask(Request::Create(create)).await
    }

    /// Sets the password of a user. Resolves once it is durable.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn set_password(&self, user: &str, password: Password) -> Result<Account, StartError> {
        self.ask(Request::SetPassword { user: user.to_owned(), password }).await
    }

    /// Locks a user, who then cannot sign in. Resolves once it is durable.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn lock(&self, user: &str, by: String, reason: Option<String>) -> Result<Account, StartError> {
        self.ask(Request::Lock { user: user.to_owned(), by, reason }).await
    }

    /// Lets a user sign in again. Resolves once it is durable.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn unlock(&self, user: &str) -> Result<Account, StartError> {
        self.ask(Request::Unlock { user: user.to_owned() }).await
    }

    /// Ends the store, if it was opened here.
    ///
    /// # Errors
    /// It did not end in order.
    pub(crate) async fn close(self) -> Result<(), StartError> {
        match self {
            Self::Opened(operations) => operations.store.shutdown().await,
            Self::Served(_) => Ok(()),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, StartError> {
        let answer = match self {
            Self::Opened(operations) => operations.answer(request).await,
            Self::Served(client) => client.ask(&request).await.unwrap_or_else(|error| Err(error.to_string())),
        };
        let answer = answer.map_err(StartError::failed)?;
        serde_json::from_value(answer).map_err(|error| StartError::failed(format!("unexpected answer: {error}")))
    }
}

fn open_store(settings: &AccountSettings) -> Result<Operations, OpenError> {
    let rules = Rules { protection: Protection(settings.protected_ids.clone()), sessions: settings.sessions };
    // What a command prints is something else.
    let audit = AuditSettings { opener: Opener::Command, on_stdout: false, ..settings.audit };
    let registry = &mut Registry::default();
    let store = UsersStore::open(&settings.data_dir, rules, |_| Ok(Vec::new()), audit, registry)?;
    // A command hashes one password.
    let passwords =
        Passwords::start(settings.bcrypt_cost, settings.bcrypt_cost, 1, registry).map_err(StartError::failed)?;
    Ok(Operations { store, passwords, policy: PasswordPolicy { chars_min: settings.password_min } })
}

/// Refuses another account than the one that the service has: what it writes, only it can read, so that the service could
/// not start any more.
///
/// # Errors
/// Names both accounts.
pub(crate) fn check_owner(folder: &Path) -> Result<(), StartError> {
    let lock = folder.join("lock");
    let owner = fs::metadata(&lock).or_else(|_| fs::metadata(folder)).map(|file| file.uid());
    let own = rustix::process::geteuid().as_raw();
    match owner {
        Ok(owner) if owner != own => Err(StartError::failed(format!(
            "the data folder {} belongs to the account with the uid {owner}, and this command runs as {own}; run it as that \
             account",
            folder.display()
        ))),
        // A folder that cannot be looked at cannot be opened either, and then the message says why.
        Ok(_) | Err(_) => Ok(()),
    }
}
