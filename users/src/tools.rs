//! The command for the files: rehearse.

use std::path::{Path, PathBuf};

use chassis::config::{StartError, counted};
use clap::Subcommand;

use crate::store::rehearse;

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Read a copy of the files, as the next start would, also while the service runs. Checks all settings too
    Rehearse {
        /// A folder for the copy, which is deleted afterwards
        folder: PathBuf,
    },
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What failed. The files are as they were.
    pub fn run(&self, data_dir: &Path) -> Result<(), StartError> {
        match self {
            Self::Rehearse { folder } => match rehearse(data_dir, folder)? {
                0 => println!("there are no users in {} yet; the service creates the first ones", data_dir.display()),
                users => println!("ok: {}", counted(users, "user")),
            },
        }
        Ok(())
    }
}
