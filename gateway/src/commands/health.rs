//! `gateway healthcheck`: asks a running gateway whether it is ready, for images without curl.

use std::{net::SocketAddr, process::ExitCode};

use chassis::{
    config::{StartError, environment},
    probe,
};

use super::args::ConfigFile;
use crate::config::{self, Config};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// The URL to request, such as http://127.0.0.1:8001/health/ready [default: the listener of the configuration]
    url: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => ready_url(&config::load(&args.file.config, &environment)?),
    };
    probe::check_url(&url).map_err(StartError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// The page of the public listener, or that of the admin listener where there is none or where it would need TLS.
fn ready_url(config: &Config) -> String {
    let url = |listener: SocketAddr, path: &str| format!("http://{}{path}/ready", probe::reachable(listener));
    match &config.builtin.health {
        Some(path) if config.tls.is_none() => url(config.listen, path),
        Some(_) | None => url(config.admin, "/health"),
    }
}
