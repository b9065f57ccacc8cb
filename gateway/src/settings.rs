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

/// A value that was given by a flag or a variable, with the names of both.
type Given<'a> = (&'a Option<String>, &'static str, &'static str);

impl Args {
    fn flags(&self) -> [Given<'_>; 3] {
        [
            (&self.workers, "--workers", "GATEWAY_WORKERS"),
            (&self.drain_delay, "--drain-delay", "DRAIN_DELAY"),
            (&self.log_format, "--log-format", "LOG_FORMAT"),
        ]
    }

    /// Returns the names of the flags that are given, without those that only have the value of their variable.
    pub(crate) fn given_flags(&self) -> impl Iterator<Item = &'static str> {
        let given = self.flags().map(|(value, flag, variable)| is_flag(value, variable).then_some(flag));
        given.into_iter().flatten()
    }

    /// Returns these arguments, which stand after the name of the command, with those `before` it in the place of flags
    /// that are not given again.
    pub(crate) fn or(self, before: Self) -> Self {
        let choose = |after: Option<String>, before: Option<String>, variable| {
            if is_flag(&after, variable) { after } else { before }
        };
        Self {
            config: self.config,
            workers: choose(self.workers, before.workers, "GATEWAY_WORKERS"),
            drain_delay: choose(self.drain_delay, before.drain_delay, "DRAIN_DELAY"),
            log_format: choose(self.log_format, before.log_format, "LOG_FORMAT"),
        }
    }
}

/// Returns whether a value was given by its flag: one of a variable would be that of the variable.
fn is_flag(value: &Option<String>, variable: &str) -> bool {
    value.is_some() && *value != std::env::var(variable).ok()
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
