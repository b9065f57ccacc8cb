//! The command line of the gateway. Each command has a file of its own; here they are told apart.
//!
//! Exit codes: 0 all is well · 1 a start, a test or a check of the health failed · 2 (`plan`) the new file lets more
//! pass · 64 a wrong configuration or command line.

mod check;
mod claims;
mod diff;
mod explain;
mod explanation;
mod health;
mod junit;
mod keys;
mod outcome;
mod paint;
mod plan;
mod route_diff;
mod routes;
mod schema;
mod serve;
mod test;
mod token;
mod trial;

use std::{path::PathBuf, process::ExitCode};

use chassis::config::{self, StartError};
use clap::{Parser, Subcommand};

use crate::settings::Args;

const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 a start, a test or a health check failed; 2 (plan) the new file \
                          lets more pass; 64 a wrong configuration or command line.";

#[derive(Parser)]
#[command(name = "gateway", version, about = "Signs people in, checks every request and forwards it.", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Args,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the routes of the configuration (the default).
    Serve(Args),
    /// Report every mistake of a configuration, with its line, and list the public routes.
    Check {
        /// The YAML file.
        #[arg(env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the routes.
    Routes {
        #[command(flatten)]
        file: File,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell what would become of a request, and why. Nothing is sent.
    Explain(explain::Args),
    /// Run the tests that stand in the configuration. Nothing is sent.
    Test(test::Args),
    /// Tell what a new configuration changes, and for whom.
    Plan(plan::Args),
    /// Sign a token for development.
    Token(token::Args),
    /// Ask a running gateway whether it is ready.
    Healthcheck(health::Args),
    /// Print the JSON Schema of the configuration.
    Schema(schema::Args),
    /// Manage keys.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
}

/// The configuration of a command that has other arguments too.
#[derive(clap::Args)]
struct File {
    /// The YAML file.
    #[arg(long, env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
    config: PathBuf,
}

/// Runs the command of the command line.
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
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Check { config, json }) => check::run(&config, json),
        Some(Command::Routes { file, json }) => routes::run(&file.config, json),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Test(args)) => test::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Token(args)) => token::run(&args),
        Some(Command::Healthcheck(args)) => health::run(&args),
        Some(Command::Schema(args)) => schema::run(&args),
        Some(Command::Keys { command }) => keys::run(command),
    }
}

/// Prints JSON for programs.
fn print_json(value: &impl serde::Serialize) -> Result<(), StartError> {
    println!("{}", serde_json::to_string_pretty(value).map_err(StartError::failed)?);
    Ok(())
}
