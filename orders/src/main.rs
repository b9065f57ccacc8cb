//! The `orders` program: reads the command line and the environment, and serves until the operating system says stop, or
//! does one thing with the database.

use std::process::ExitCode;

use chassis::{
    config::{self, StartError},
    logging, probe, server,
};
use orders::{Args, Server, Settings};

fn main() -> ExitCode {
    let args: Args = match config::parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    config::exit("orders", run(&args))
}

fn run(args: &Args) -> Result<(), StartError> {
    if let Some(command) = &args.command {
        if command.checks_settings() {
            Settings::from_args(args, &config::environment)?;
        }
        return command.run(&args.database(&config::environment)?);
    }
    let settings = Settings::from_args(args, &config::environment)?;
    if args.healthcheck {
        return probe::check_listener(settings.listen).map_err(StartError::failed);
    }
    logging::init(settings.log_format);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        Server::bind(settings)?.run_until(shutdown).await
    })
}
