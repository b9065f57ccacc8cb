//! The grammar of the command line; calls the command that it names.

use std::{path::PathBuf, process::ExitCode};

use chassis::config::{self, StartError};
use clap::{CommandFactory, Parser, Subcommand};

use super::{
    args::{PositionalConfigFile, one_file},
    check, completions, explain, health, keys, man, plan, routes, schema, serve, test, token,
};
use crate::settings::Args;

const EXIT_CODES: &str = "Exit codes: 0 success; 1 a start, a test or a health check failed; 2 (plan) the new file allows \
                          more than the old one; 64 a wrong configuration or command line.";

#[derive(Parser)]
#[command(
    name = "gateway",
    version,
    about = "An API gateway: authenticates callers, checks every request and forwards it.",
    // Otherwise the documentation of the flattened arguments.
    long_about = None,
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Args,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the routes of the configuration (the default)
    Serve {
        /// The YAML file; the same as --config FILE
        file: Option<PathBuf>,
        #[command(flatten)]
        args: Args,
    },
    /// Report every mistake in a configuration, or list its public routes
    Check {
        #[command(flatten)]
        file: PositionalConfigFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the routes
    Routes {
        #[command(flatten)]
        file: PositionalConfigFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what would happen to a request, and why; sends nothing
    Explain(explain::Args),
    /// Run the tests in the configuration; sends nothing
    Test(test::Args),
    /// Show what a new configuration changes, and for whom
    Plan(plan::Args),
    /// Sign a token for development
    Token(token::Args),
    /// Ask a running gateway whether it is ready
    Healthcheck(health::Args),
    /// Print the JSON Schema of the configuration
    Schema(schema::Args),
    /// Print a script that completes commands and flags in a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
    /// Create keys
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
}

/// Runs the `gateway` program: parses the command line, and runs the command that it names.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     gateway::main()
/// }
/// ```
pub fn main() -> ExitCode {
    let cli: Cli = match config::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => config::exit("gateway", Err(error)),
    }
}

fn run(cli: Cli) -> Result<ExitCode, StartError> {
    if !matches!(cli.command, None | Some(Command::Serve { .. })) {
        refuse_flags_of_serve(&cli.serve)?;
    }
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve { file, args }) => {
            let config = one_file(file.as_deref(), &args.config)?.to_path_buf();
            serve::run(&Args { config, ..args.or(cli.serve) })
        }
        Some(Command::Check { file, json }) => check::run(file.path()?, json),
        Some(Command::Routes { file, json }) => routes::run(file.path()?, json),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Test(args)) => test::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Token(args)) => token::run(&args),
        Some(Command::Healthcheck(args)) => health::run(&args),
        Some(Command::Schema(args)) => schema::run(&args),
        Some(Command::Completions(args)) => Ok(completions::run(&args, Cli::command())),
        Some(Command::Man(args)) => man::run(&args, Cli::command()),
        Some(Command::Keys { command }) => keys::run(command),
    }
}

/// The flags of `serve` other than `--config` can stand before the name of a command only if that command is `serve`. Others
/// would ignore them.
fn refuse_flags_of_serve(before: &Args) -> Result<(), StartError> {
    let mistakes: Vec<String> = before
        .given_flags()
        .map(|flag| format!("{flag} is a flag of `serve`, which is not the command that is given"))
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(StartError::Config(mistakes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

    fn commands(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().flat_map(commands);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn the_grammar_is_consistent_and_help_begins_with_what_the_program_does() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.starts_with("An API gateway"), "{help}");
    }

    #[test]
    fn every_flag_and_variable_of_the_gateway_is_documented() {
        let root = Cli::command();
        let mut missing = Vec::new();
        for command in commands(&root) {
            for argument in command.get_arguments() {
                let variable = argument.get_env().map(|name| format!("| `{}`", name.to_string_lossy()));
                let flag = argument.get_long().map(|name| format!("--{name}"));
                let wanted = [variable, flag];
                missing.extend(wanted.into_iter().flatten().filter(|text| !DOCUMENTATION.contains(text.as_str())));
            }
            let name = command.get_name();
            let is_group = command.has_subcommands();
            if !is_group && !DOCUMENTATION.lines().any(|line| line.starts_with("| `gateway") && line.contains(name)) {
                missing.push(format!("the command {name}"));
            }
        }
        assert!(missing.is_empty(), "docs/configuration.md lacks {missing:#?}");
    }
}
