//! The settings outside of the YAML: flags and environment variables of the process.

use std::{path::PathBuf, time::Duration};

use chassis::{
    config::{Mistakes, StartError, parse_duration},
    logging::LogFormat,
};

/// The command line and the environment as typed, for `clap`. An empty text counts as not given: Compose passes those.
///
/// ```
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Cli {
///     #[command(flatten)]
///     gateway: gateway::Args,
/// }
///
/// let cli = Cli::parse_from(["my-gateway", "--workers", "2"]);
/// assert_eq!(cli.gateway.workers.as_deref(), Some("2"));
/// ```
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The YAML file.
    #[arg(long, global = true, env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
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

/// The settings of the process, parsed.
///
/// ```
/// use std::time::Duration;
///
/// let settings = gateway::Settings { drain_delay: Duration::from_secs(5), ..gateway::Settings::default() };
/// assert!(settings.workers >= 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The number of worker threads.
    pub workers: usize,
    /// How long the gateway goes on accepting connections after it was told to shut down, so that load balancers notice.
    pub drain_delay: Duration,
    /// The format of the log; `None` chooses by whether it goes to a terminal.
    pub log_format: Option<LogFormat>,
}

impl Default for Settings {
    /// One worker for each core, and no delay.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, drain_delay: Duration::ZERO, log_format: None }
    }
}

impl Settings {
    /// Parses the settings.
    ///
    /// ```
    /// # use clap::Parser;
    /// # #[derive(Parser)] struct Cli { #[command(flatten)] gateway: gateway::Args }
    /// let args = Cli::parse_from(["my-gateway", "--workers", "none", "--drain-delay", "soon"]).gateway;
    /// let error = gateway::Settings::from_args(&args).unwrap_err().to_string();
    /// assert!(error.contains("GATEWAY_WORKERS") && error.contains("DRAIN_DELAY"), "{error}");
    /// ```
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn from_args(args: &Args) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let workers = match given(args.workers.as_ref()) {
            None => Some(Self::default().workers),
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
