//! The `users` program: reads the command line and the environment, and serves until the operating system says stop, or
//! does one thing with the accounts.

use std::process::ExitCode;

use chassis::{config, config::StartError, logging, probe, server};
use users::{AccountSettings, Args, Server, Settings};

fn main() -> ExitCode {
    let args: Args = match config::parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    config::exit("users", run(&args))
}

fn run(args: &Args) -> Result<(), StartError> {
    if let Some(command) = &args.command {
        if command.checks_settings() {
            Settings::from_args(args, &config::environment)?;
        }
        return command.run(&AccountSettings::from_args(args)?);
    }
    let settings = Settings::from_args(args, &config::environment)?;
    if args.healthcheck {
        return probe::check_listener(settings.listen).map_err(StartError::failed);
    }
    logging::init(settings.log_format);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        let server = Server::bind(settings)?;
        server.run_until(shutdown).await
    })
}
