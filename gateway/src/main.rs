//! The command line of the gateway: `serve` (the default), `check`, `keys init`. Exit code 64 is a wrong configuration
//! or command line, 1 a start that failed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use chassis::{
    config::{self, Mistakes, StartError, environment, parse_duration},
    logging,
};
use clap::{Args, Parser, Subcommand};
use gateway::{Server, Settings, auth::keys, config::Config, server};

#[derive(Parser)]
#[command(name = "gateway", version, about = "Signs people in, checks every request and forwards it.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the routes of the configuration (the default).
    Serve(ServeArgs),
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

#[derive(Args)]
struct ServeArgs {
    /// The YAML file.
    #[arg(long, env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
    config: PathBuf,
    /// Threads that serve; the number of cores if left out.
    #[arg(long, env = "GATEWAY_WORKERS")]
    workers: Option<String>,
    /// How long to go on accepting after SIGTERM, so that balancers notice.
    #[arg(long, env = "DRAIN_DELAY", default_value = "0s")]
    drain_delay: String,
    /// `text` or `json`; text in a terminal if left out.
    #[arg(long, env = "LOG_FORMAT")]
    log_format: Option<String>,
}

#[derive(Subcommand)]
enum KeysCommand {
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
        Some(Command::Keys { command: KeysCommand::Init { dir, shares } }) => init_keys(&dir, &shares),
    };
    config::exit("gateway", result)
}

fn serve(args: &ServeArgs) -> Result<(), StartError> {
    let (settings, log_format) = settings(args)?;
    logging::init(log_format);
    let config = server::load(&args.config, &environment)?;
    actix_rt::System::new().block_on(async move {
        let server = Server::bind(config, settings)?;
        log::info!(listen = server.addr()?.to_string(), admin = server.admin_addr()?.to_string(); "gateway ready");
        server.run_until(chassis::server::shutdown_signal()).await
    })
}

fn settings(args: &ServeArgs) -> Result<(Settings, Option<logging::LogFormat>), StartError> {
    let mut mistakes = Mistakes::default();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let given = args.workers.as_deref().filter(|text| !text.is_empty());
    let workers = match given {
        None => Some(cores()),
        Some(text) => mistakes.parse::<std::num::NonZeroUsize>("GATEWAY_WORKERS", text).map(usize::from),
    };
    let drain_delay = mistakes.take("DRAIN_DELAY", parse_duration(&args.drain_delay));
    let format = args.log_format.as_deref().filter(|text| !text.is_empty());
    let log_format = format.and_then(|text| mistakes.parse("LOG_FORMAT", text));
    let settings = workers.zip(drain_delay).map(|(workers, drain_delay)| Settings { workers, drain_delay });
    Ok((mistakes.finish(settings)?, log_format))
}

fn check(path: &Path) -> Result<(), StartError> {
    let config = server::load(path, &environment)?;
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
