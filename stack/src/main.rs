//! The `stack` program: starts the three services, prints their addresses and a command to try, and serves until the
//! operating system says stop. `stack load` sends requests to an installation instead.

use std::{net::SocketAddr, process::ExitCode};

use chassis::{
    config::{self, Mistakes, StartError, environment},
    logging, server,
};
use clap::{Parser, Subcommand};
use stack::{Args, Stack, load};

/// The command line.
#[derive(Parser)]
#[command(name = "stack", version, about = "Gateway, users and orders in one process, with demo users.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    args: Args,
}

#[derive(Subcommand)]
enum Command {
    /// Sign in, browse and place orders at an installation, at a rate, and print how long it took
    ///
    /// The account is in SMOKE_USERNAME and SMOKE_PASSWORD, or in the files that SMOKE_USERNAME_FILE and SMOKE_PASSWORD_FILE
    /// name. An admin browses users too. The orders stay; some of them are cancelled.
    Load(load::Args),
}

fn main() -> ExitCode {
    let Cli { command, args } = match config::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match command {
        None => serve(&args),
        Some(Command::Load(args)) => send_load(&args),
    };
    config::exit("stack", done)
}

fn send_load(args: &load::Args) -> Result<(), StartError> {
    let settings = load::Settings::from_args(args, &environment)?;
    actix_rt::System::new().block_on(load::run(settings))
}

fn serve(args: &Args) -> Result<(), StartError> {
    let mut mistakes = Mistakes::default();
    let format = environment("LOG_FORMAT").map(|text| mistakes.parse("LOG_FORMAT", &text));
    logging::init(mistakes.finish(format.map_or(Some(None), |parsed| parsed.map(Some)))?);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        let stack = Stack::bind(args, &environment)?;
        let (users, orders) = stack.internal_addrs();
        println!("{}", banner(stack.addr()?, users, orders));
        stack.run_until(shutdown).await
    })
}

fn banner(gateway: SocketAddr, users: SocketAddr, orders: SocketAddr) -> String {
    format!(
        "
  Gateway  http://{gateway}        API documentation to try: http://{gateway}/docs
  users    http://{users}        orders http://{orders}        (they accept requests from the gateway only)

  WARNING: demo accounts are installed: admin/a (admin), demo/b, test/test. Never use them in production.

  Try:     curl -s http://{gateway}/api/login -H 'Content-Type: application/json' -d '{{\"username\":\"admin\",\"password\":\"a\"}}'
"
    )
}
