//! Opens the store for a command, and closes it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use chassis::{config::StartError, identity::UserId};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;

use super::{
    message::{Account, ListRequest, Request},
    operations::Operations,
};
use crate::{
    audit::{AuditSettings, Event},
    domain::{Protection, SessionLimits},
    store::{Rules, UsersStore},
};

/// Where the users are, and the rules for them.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The folder with the users.
    pub data_dir: PathBuf,
    /// Users that are never deleted or demoted.
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
pub(crate) struct Access(Operations);

impl Access {
    /// Opens the store. Needs an actix `System`.
    ///
    /// # Errors
    /// Says why it cannot be used, and by whom it is.
    pub(crate) fn open(settings: &AccountSettings) -> Result<Self, StartError> {
        settings.check_folder()?;
        check_owner(&settings.data_dir)?;
        let rules = Rules { protection: Protection(settings.protected_ids.clone()), sessions: settings.sessions };
        let registry = &mut Registry::default();
        let nobody = |_| Ok((Vec::new(), Event::first_users_created(false, &[])));
        let store = UsersStore::open(&settings.data_dir, rules, nobody, settings.audit, registry)?;
        Ok(Self(Operations { store }))
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

    /// Ends the store, if it was opened here.
    ///
    /// # Errors
    /// It did not end in order.
    pub(crate) async fn close(self) -> Result<(), StartError> {
        self.0.store.shutdown().await
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, StartError> {
        let answer = self.0.answer(request).await.map_err(StartError::failed)?;
        serde_json::from_value(answer).map_err(|error| StartError::failed(format!("unexpected answer: {error}")))
    }
}

/// Refuses another account than the one that the service has: what it writes, only it can read, so that the service could
/// not start any more.
fn check_owner(folder: &Path) -> Result<(), StartError> {
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
