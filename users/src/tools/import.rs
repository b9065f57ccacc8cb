//! `users import`: all users of a file, or none.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use chassis::{
    config::{StartError, counted},
    logging,
    store::new_file::at,
};

use super::output::Output;
use crate::{
    control::{AccountSettings, check_owner},
    store::{self, Imported, OpenError},
};

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "The file is an array, as `users export --with-hashes` writes it, or has an object on each line:
  {\"username\": \"ann\", \"user_type\": \"default\", \"hashed_password\": \"$2b$12$…\", \"email\": \"ann@example.com\"}
A record without an id gets the next one.

Examples:
  users import --dry-run users.json
  users import - <users.jsonl"
)]
pub struct Args {
    /// The file, or - for the standard input
    file: PathBuf,
    /// Only check all of it, also while the service runs
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, settings: &AccountSettings) -> Result<(), StartError> {
    logging::init_for_command();
    settings.check_folder()?;
    let text = args.read()?;
    let mut out = Output::stdout();
    if args.dry_run {
        let imported = store::rehearse_import(&settings.data_dir, &text)?;
        out.line(&format!("{} would be imported{}", counted(imported.users, "user"), ids(&imported)));
        return out.end();
    }
    check_owner(&settings.data_dir)?;
    let imported = store::import(&settings.data_dir, &text).map_err(|error| match error {
        OpenError::InUse { folder, holder } => StartError::failed(format!(
            "the data folder {} is in use by {holder}; an import needs it for itself: stop the service first",
            folder.display()
        )),
        OpenError::Failed(error) => error,
    })?;
    out.line(&format!("{} imported{}", counted(imported.users, "user"), ids(&imported)));
    out.end()
}

fn ids(imported: &Imported) -> String {
    imported.ids.map(|(first, last)| format!(", with ids from {first} to {last}")).unwrap_or_default()
}

impl Args {
    fn read(&self) -> Result<Vec<u8>, StartError> {
        if self.file.as_os_str() != "-" {
            return fs::read(&self.file).map_err(at(&self.file));
        }
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(at(&self.file))?;
        Ok(text)
    }
}
