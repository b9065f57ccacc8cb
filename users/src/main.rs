//! The process: reads the command line and the environment, serves until a signal, and turns the outcome into an exit code.

use std::process::ExitCode;

use chassis::{config, config::StartError, logging, server};
use users::{Args, Server, Settings};

fn main() -> ExitCode {
    let args: Args = match config::parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    config::exit("users", Settings::from_args(&args, &config::environment).and_then(run))
}

fn run(settings: Settings) -> Result<(), StartError> {
    logging::init(settings.log_format);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        let server = Server::bind(settings)?;
        server.run_until(shutdown).await
    })
}
