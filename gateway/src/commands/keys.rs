//! `gateway keys`: creates the keys that are missing, or the next signing key.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use chassis::config::{Mistakes, StartError};
use clap::Subcommand;

use crate::auth::keys::files;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the next signing key. A running gateway publishes it at once, and signs with it after `tokens.publish_for`
    New {
        /// The key folder of the gateway
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
    },
    /// Create the keys that are missing: the signing key, and one for each service that verifies assertions
    Init {
        /// The key folder of the gateway
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
        /// A service and its key file, such as users=/keys/users/internal.key: creates DIR/users.key and copies it there
        #[arg(long = "share", value_name = "NAME=FILE")]
        shares: Vec<String>,
    },
}

pub(crate) fn run(command: Command) -> Result<ExitCode, StartError> {
    match command {
        Command::New { dir } => new(&dir)?,
        Command::Init { dir, shares } => init(&dir, &shares)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new(dir: &Path) -> Result<(), StartError> {
    let file = files::create_next_signing_key(dir, SystemTime::now()).map_err(StartError::failed)?;
    println!("{}", file.display());
    Ok(())
}

fn init(dir: &Path, shares: &[String]) -> Result<(), StartError> {
    let mut mistakes = Mistakes::default();
    let parsed: Vec<Option<(&str, &str)>> = shares
        .iter()
        .map(|share| mistakes.take("--share", share.split_once('=').ok_or(format!("`{share}` is not NAME=FILE"))))
        .collect();
    let shares: Vec<(&str, &str)> = mistakes.finish(parsed.into_iter().collect())?;
    files::create_signing_key(dir).map_err(StartError::failed)?;
    for (name, file) in shares {
        files::share_internal_key(&dir.join(format!("{name}.key")), Path::new(file)).map_err(StartError::failed)?;
    }
    println!("the keys are in {}", dir.display());
    Ok(())
}
