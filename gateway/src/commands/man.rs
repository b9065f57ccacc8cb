//! `gateway man`: writes the manual pages, one for the program and one for each of its commands.

use std::{fs, path::PathBuf, process::ExitCode};

use chassis::config::StartError;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder for the pages (gateway.1, gateway-check.1, …); it is made where it is missing
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args, grammar: clap::Command) -> Result<ExitCode, StartError> {
    fs::create_dir_all(&args.output).and_then(|()| clap_mangen::generate_to(grammar, &args.output)).map_err(
        |error| StartError::failed(format!("cannot write the manual pages to {}: {error}", args.output.display())),
    )?;
    Ok(ExitCode::SUCCESS)
}
