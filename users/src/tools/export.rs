//! `users export`: all users as of one moment, in a file that only our own account can read.

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write},
    path::PathBuf,
};

use chassis::{
    config::{StartError, counted},
    store::new_file::{at, complete},
};

use super::output::Output;
use crate::{control::AccountSettings, store};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users export --with-hashes users-2026-01-31.json    (everything; what `users import` reads)
  users export report.json                            (without the hashes of the passwords)")]
pub struct Args {
    /// A file that does not exist yet
    file: PathBuf,
    /// Write the hashes of the passwords too: whoever has them can guess passwords without being slowed down
    #[arg(long)]
    with_hashes: bool,
}

pub(super) fn run(args: &Args, settings: &AccountSettings) -> Result<(), StartError> {
    settings.check_folder()?;
    let users = complete(&args.file, |partial| {
        let file = OpenOptions::new().write(true).open(partial).map_err(at(partial))?;
        let mut out = BufWriter::new(file);
        let users = store::export(&settings.data_dir, args.with_hashes, &mut out)?;
        out.flush().map_err(at(partial))?;
        Ok(users)
    })?;
    let mut out = Output::stdout();
    out.line(&format!("{} has {}", args.file.display(), counted(users, "user")));
    out.end()
}
