//! The command line of the gateway: `serve` (the default), `check`, `keys init`. Exit code 64 is a wrong configuration
//! or command line, 1 a start that failed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use chassis::{
    config::{self, Mistakes, StartError, environment},
    logging,
};
use clap::{Parser, Subcommand};
use gateway::{Args, Server, Settings, auth::keys, config::Config, reload::Source, server::Listeners};

#[derive(Parser)]
#[command(name = "gateway", version, about = "Signs people in, checks every request and forwards it.")]
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
    },
    /// Manage keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make the next signing key. A running gateway publishes it at once and signs with it after `tokens.publish_for`.
    New {
        /// The folder of the gateway (GATEWAY_KEY_DIR).
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
    },
    /// Make the keys that are missing: the signing key, and one for each service that trusts the gateway.
    Init {
        /// The folder of the gateway (GATEWAY_KEY_DIR).
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
        /// `users=/keys/users/internal.key`: makes DIR/users.key and copies it to that file, for the service to read.
        #[arg(long = "share", value_name = "NAME=FILE")]
        shares: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli: Cli = match config::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let result = match cli.command {
        None => serve(&cli.serve),
        Some(Command::Serve(args)) => serve(&args),
        Some(Command::Check { config }) => check(&config),
        Some(Command::Keys { command: KeysCommand::New { dir } }) => new_key(&dir),
        Some(Command::Keys { command: KeysCommand::Init { dir, shares } }) => init_keys(&dir, &shares),
    };
    config::exit("gateway", result)
}

fn serve(args: &Args) -> Result<(), StartError> {
    let settings = Settings::from_args(args)?;
    logging::init(settings.log_format);
    let source = Source::new(args.config.clone(), environment);
    let (read, config) = source.load();
    let config = config?;
    actix_rt::System::new().block_on(async move {
        let shutdown = chassis::server::shutdown_signal();
        let listeners = Listeners::inherit_or_bind(&config)?;
        let server = Server::on(listeners, config, settings)?.watching(source, read);
        log::info!(listen = server.addr()?.to_string(), admin = server.admin_addr()?.to_string(); "gateway ready");
        server.run_until(shutdown).await
    })
}

fn check(path: &Path) -> Result<(), StartError> {
    let config = gateway::server::load(path, &environment)?;
    println!("{}: {} routes, no mistakes", path.display(), config.routes.len());
    print_public(&config);
    Ok(())
}

/// What everybody may use is worth a second look.
fn print_public(config: &Config) {
    let public: Vec<&str> =
        config.routes.iter().filter(|route| route.policy.is_public()).map(|route| route.name.as_str()).collect();
    if public.is_empty() {
        println!("no route is public");
    } else {
        println!("public routes: {}", public.join(", "));
    }
}

fn new_key(dir: &Path) -> Result<(), StartError> {
    let file = keys::create_next_signing_key(dir, SystemTime::now()).map_err(StartError::failed)?;
    println!("{}", file.display());
    Ok(())
}

fn init_keys(dir: &Path, shares: &[String]) -> Result<(), StartError> {
    let mut mistakes = Mistakes::default();
    let parsed: Vec<Option<(&str, &str)>> = shares
        .iter()
        .map(|share| mistakes.take("--share", share.split_once('=').ok_or(format!("`{share}` is not NAME=FILE"))))
        .collect();
    let shares: Vec<(&str, &str)> = mistakes.finish(parsed.into_iter().collect())?;
    keys::create_signing_key(dir).map_err(StartError::failed)?;
    for (name, file) in shares {
        keys::share_internal_key(&dir.join(format!("{name}.key")), Path::new(file)).map_err(StartError::failed)?;
    }
    println!("the keys are in {}", dir.display());
    Ok(())
}
