//! `gateway schema`: prints the JSON Schema of the file, for editors; or the tables of its keys, for the documentation.

use std::process::ExitCode;

use chassis::config::StartError;

use super::output::print_json;
use crate::config;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the tables of keys for docs/configuration.md instead
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    if args.markdown {
        print!("{}", config::reference());
    } else {
        print_json(&config::schema())?;
    }
    Ok(ExitCode::SUCCESS)
}
