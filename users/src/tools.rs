//! The commands for the accounts. They print what they have done, and need no key, except for `rehearse`.
//!
//! In the order to read: the grammar, which is here, and a file for each command.

mod audit;
mod check;
mod create;
mod export;
mod import;
mod list;
mod lock;
mod output;
mod password;
mod rehearse;
mod repair;
mod set_password;
mod show;

use chassis::{config::StartError, logging};
use clap::Subcommand;

use crate::control::{Access, AccountSettings};

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List the users, by id
    List(list::Args),
    /// Show a user
    Show(show::Args),
    /// Create a user
    Create(create::Args),
    /// Set the password of a user
    SetPassword(set_password::Args),
    /// Keep a user from signing in, until it is unlocked
    Lock(lock::LockArgs),
    /// Let a user sign in again
    Unlock(lock::UnlockArgs),
    /// Write all users into a new file; also while the service runs
    Export(export::Args),
    /// Add the users of a file, all or none; the service must be stopped
    Import(import::Args),
    /// Read all files as the next start would, and change none; also while the service runs
    Check(check::Args),
    /// Read a copy of the files, as the next start would, also while the service runs. Checks all settings too
    Rehearse(rehearse::Args),
    /// Read the audit log, also while the service runs
    #[command(subcommand)]
    Audit(audit::Command),
    /// Keep damaged files aside, and write what can be read of them anew. Stop the service before
    Repair(repair::Args),
}

impl Command {
    /// Whether all settings of the service must be valid, and not only those for the accounts.
    #[must_use]
    pub const fn checks_settings(&self) -> bool {
        matches!(self, Self::Rehearse(_))
    }

    /// Does it.
    ///
    /// # Errors
    /// What failed.
    pub fn run(&self, settings: &AccountSettings) -> Result<(), StartError> {
        match self {
            Self::List(args) => with_accounts(settings, async |accounts| list::run(args, accounts).await),
            Self::Show(args) => with_accounts(settings, async |accounts| show::run(args, accounts).await),
            Self::Create(args) => {
                // Before the folder is locked, so that nobody waits for somebody who types.
                settings.check_folder()?;
                let create = args.read()?;
                with_accounts(settings, async |accounts| create::run(args, create, accounts).await)
            }
            Self::SetPassword(args) => {
                settings.check_folder()?;
                let password = args.password.read()?;
                with_accounts(settings, async |accounts| set_password::run(args, password, accounts).await)
            }
            Self::Lock(args) => with_accounts(settings, async |accounts| lock::lock(args, accounts).await),
            Self::Unlock(args) => with_accounts(settings, async |accounts| lock::unlock(args, accounts).await),
            Self::Export(args) => export::run(args, settings),
            Self::Import(args) => import::run(args, settings),
            Self::Check(args) => check::run(args, settings),
            Self::Rehearse(args) => rehearse::run(args, settings),
            Self::Audit(command) => command.run(&settings.data_dir),
            Self::Repair(args) => repair::run(args, settings),
        }
    }
}

/// Does something with the accounts, and closes them whatever came of it.
fn with_accounts(
    settings: &AccountSettings,
    act: impl AsyncFnOnce(&Access) -> Result<(), StartError>,
) -> Result<(), StartError> {
    logging::init_for_command();
    actix_rt::System::new().block_on(async {
        let accounts = Access::open(settings).await?;
        let acted = act(&accounts).await;
        acted.and(accounts.close().await)
    })
}
