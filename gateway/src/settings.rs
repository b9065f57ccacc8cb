//! What is set outside the YAML: on the command line and in the environment.

use std::{path::PathBuf, time::Duration};

use chassis::{
    config::{Mistakes, StartError, parse_duration},
    logging::LogFormat,
};

/// The command line and the environment as typed. An empty text counts as not given: Compose passes those.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The YAML file.
    #[arg(long, env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
    pub config: PathBuf,
    /// Threads that serve [default: the number of cores]
    #[arg(long, env = "GATEWAY_WORKERS")]
    pub workers: Option<String>,
    /// How long to go on accepting after SIGTERM, so that balancers notice [default: 0s]
    #[arg(long, env = "DRAIN_DELAY")]
    pub drain_delay: Option<String>,
    /// `text` or `json` [default: text in a terminal, json elsewhere]
    #[arg(long, env = "LOG_FORMAT")]
    pub log_format: Option<String>,
}

/// The settings as needed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub workers: usize,
    pub drain_delay: Duration,
    pub log_format: Option<LogFormat>,
}

impl Settings {
    /// Parses the settings.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn from_args(args: &Args) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let workers = match given(args.workers.as_ref()) {
            None => Some(std::thread::available_parallelism().map_or(1, usize::from)),
            Some(text) => mistakes.parse::<std::num::NonZeroUsize>("GATEWAY_WORKERS", text).map(usize::from),
        };
        let drain_delay = parse_duration(given(args.drain_delay.as_ref()).unwrap_or("0s"));
        let drain_delay = mistakes.take("DRAIN_DELAY", drain_delay);
        let log_format = given(args.log_format.as_ref()).and_then(|text| mistakes.parse("LOG_FORMAT", text));
        let settings = workers.zip(drain_delay).map(|(workers, drain_delay)| Self { workers, drain_delay, log_format });
        mistakes.finish(settings)
    }
}

fn given(raw: Option<&String>) -> Option<&str> {
    raw.map(|text| text.trim()).filter(|text| !text.is_empty())
}
