//! `gateway completions`: prints the script by which a shell completes commands, flags and their values.

use std::{io, process::ExitCode};

use clap_complete::Shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell that reads the script
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut grammar: clap::Command) -> ExitCode {
    let name = grammar.get_name().to_owned();
    clap_complete::generate(args.shell, &mut grammar, name, &mut io::stdout());
    ExitCode::SUCCESS
}
