//! `users rehearse`: what the next start would do, with a copy of the files.

use std::path::PathBuf;

use chassis::config::{StartError, counted};

use crate::{control::AccountSettings, store};

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A folder for the copy, which is deleted afterwards
    folder: PathBuf,
}

pub(super) fn run(args: &Args, settings: &AccountSettings) -> Result<(), StartError> {
    match store::rehearse(&settings.data_dir, &args.folder)? {
        0 => println!("there are no users in {} yet; the service creates the first ones", settings.data_dir.display()),
        users => println!("ok: {}", counted(users, "user")),
    }
    Ok(())
}
