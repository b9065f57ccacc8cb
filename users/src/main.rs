//! The `users` program: reads the command line and the environment, and serves until the operating system says stop, or
//! does one thing with the files.

use std::process::ExitCode;

use chassis::{config, config::StartError, logging, probe, server};
use users::{Args, Server, Settings};

fn main() -> ExitCode {
    let args: Args = match config::parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    config::exit("users", Settings::from_args(&args, &config::environment).and_then(|settings| run(&args, settings)))
}

fn run(args: &Args, settings: Settings) -> Result<(), StartError> {
    if args.healthcheck {
        return probe::check_listener(settings.listen).map_err(StartError::failed);
    }
    if let Some(command) = &args.command {
        return command.run(&settings.data_dir);
    }
    logging::init(settings.log_format);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        let server = Server::bind(settings)?;
        server.run_until(shutdown).await
    })
}
