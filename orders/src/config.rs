//! The settings of the orders service: as typed on the command line or in the environment, and as needed.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use chassis::{
    config::{self, Lookup, Mistakes, Secret, StartError, parse_duration},
    identity::ASSERTION_KEY_BYTES_MIN,
    logging::LogFormat,
};
use clap::Parser;

use crate::{relay::EventsServer, store::DatabaseLocation, tools::Command};

const LISTEN_DEFAULT: &str = "127.0.0.1:8003";
const DATABASE_URL_DEFAULT: &str = "sqlite://data/orders/orders.db";
const DRAIN_DELAY_DEFAULT: &str = "0s";
/// Maximum by default. Reads are short and come from the page cache, so that more threads would not help.
const READERS_DEFAULT_MAX: usize = 8;
/// More threads than this are a typing mistake.
const THREADS_MAX: usize = 256;

/// The command line and the environment as typed. An empty text counts as absent, because Compose passes those.
///
/// The key comes from the environment or a file only, because other users of a machine can read command lines:
/// `ORDERS_INTERNAL_KEY` or `INTERNAL_KEY`, or either with `_FILE` for the path of a file. So does the password of a PostgreSQL
/// server: `ORDERS_DATABASE_PASSWORD`, or with `_FILE`, unless it is in the URL; and where events are published: `EVENTS_URL`, or
/// with `_FILE`, and `EVENTS_CREDENTIALS_FILE` and `EVENTS_CA_FILE`.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "orders", version, about = "The orders service.")]
pub struct Args {
    /// The address to listen on [default: 127.0.0.1:8003]
    #[arg(long, env = "ORDERS_LISTEN")]
    pub listen: Option<String>,
    /// `sqlite:///absolute/path`, `sqlite://relative/path`, `postgres://USER@HOST/DATABASE` or `:memory:` [default:
    /// sqlite://data/orders/orders.db]
    #[arg(long, env = "ORDERS_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// How long to accept requests after the signal to stop, for example 5s [default: 0s]
    #[arg(long, env = "DRAIN_DELAY")]
    pub drain_delay: Option<String>,
    /// `text` or `json` [default: text in a terminal, json elsewhere]
    #[arg(long, env = "LOG_FORMAT")]
    pub log_format: Option<String>,
    /// Number of threads that serve requests [default: one for each core]
    #[arg(long, env = "ORDERS_WORKERS")]
    pub workers: Option<String>,
    /// Number of threads that read the database [default: one for each core, at most 8]
    #[arg(long, env = "ORDERS_READERS")]
    pub readers: Option<String>,
    /// Ask the running service whether it is ready, and exit with 0 or 1.
    #[arg(long)]
    pub healthcheck: bool,
    /// A command for the database; without one, the service runs.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The settings as needed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The database with the orders.
    pub database: DatabaseLocation,
    /// Verifies the gateway's assertions and signs cursors; at least [`ASSERTION_KEY_BYTES_MIN`] bytes.
    pub internal_key: Secret,
    /// How long to accept requests after the signal to stop, while not ready.
    pub drain_delay: Duration,
    /// The format of log lines; `None` means text in a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// Number of threads that serve requests.
    pub workers: NonZeroUsize,
    /// Number of threads that read the database.
    pub readers: NonZeroUsize,
    /// Where the events are published; `None`: nowhere.
    pub events: Option<EventsServer>,
}

impl Args {
    /// The database alone, for a command: it needs no key.
    ///
    /// # Errors
    /// `ORDERS_DATABASE_URL` is not valid, or its password cannot be read.
    pub fn database(&self, lookup: Lookup<'_>) -> Result<DatabaseLocation, StartError> {
        let mut mistakes = Mistakes::default();
        let database = self.read_database(&mut mistakes, lookup);
        mistakes.finish(database)
    }

    fn read_database(&self, mistakes: &mut Mistakes, lookup: Lookup<'_>) -> Option<DatabaseLocation> {
        let url = non_empty(&self.database_url).unwrap_or(DATABASE_URL_DEFAULT);
        let password = mistakes.secret("ORDERS_DATABASE_PASSWORD", lookup);
        let location: DatabaseLocation = mistakes.take("ORDERS_DATABASE_URL", url.parse())?;
        let Some(password) = password else { return Some(location) };
        mistakes.take("ORDERS_DATABASE_PASSWORD", location.with_password(&password))
    }
}

impl Settings {
    /// Reads the settings. An empty setting counts as absent.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn from_args(args: &Args, lookup: Lookup<'_>) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let listen = mistakes.parse("ORDERS_LISTEN", non_empty(&args.listen).unwrap_or(LISTEN_DEFAULT));
        let database = args.read_database(&mut mistakes, lookup);
        let internal_key = internal_key(&mut mistakes, lookup);
        let drain_delay = parse_duration(non_empty(&args.drain_delay).unwrap_or(DRAIN_DELAY_DEFAULT));
        let drain_delay = mistakes.take("DRAIN_DELAY", drain_delay);
        let log_format = non_empty(&args.log_format).map(|raw| mistakes.parse("LOG_FORMAT", raw));
        let workers = threads(&mut mistakes, "ORDERS_WORKERS", non_empty(&args.workers), THREADS_MAX);
        let readers = threads(&mut mistakes, "ORDERS_READERS", non_empty(&args.readers), READERS_DEFAULT_MAX);
        let events = events(&mut mistakes, lookup);
        let settings = (|| {
            Some(Self {
                listen: listen?,
                database: database?,
                internal_key: internal_key?,
                drain_delay: drain_delay?,
                log_format: log_format.flatten(),
                workers: workers?,
                readers: readers?,
                events: events?,
            })
        })();
        mistakes.finish(settings)
    }
}

fn non_empty(raw: &Option<String>) -> Option<&str> {
    raw.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// The key of this service, or the one that all services share.
fn internal_key(mistakes: &mut Mistakes, lookup: Lookup<'_>) -> Option<Secret> {
    let own = ["ORDERS_INTERNAL_KEY", "ORDERS_INTERNAL_KEY_FILE"].iter().any(|name| lookup(name).is_some());
    let name = if own { "ORDERS_INTERNAL_KEY" } else { "INTERNAL_KEY" };
    let key = mistakes.required_secret(name, lookup)?;
    let long_enough = key.key(ASSERTION_KEY_BYTES_MIN).map(|_| ());
    mistakes.take(name, long_enough).map(|()| key)
}

/// Where the events are published: `Some(None)` where the settings say nowhere.
#[expect(clippy::option_option, reason = "a mistake is not the same as no setting")]
fn events(mistakes: &mut Mistakes, lookup: Lookup<'_>) -> Option<Option<EventsServer>> {
    let url = mistakes.take("EVENTS_URL", config::secret("EVENTS_URL", lookup))?;
    let file = |name| lookup(name).map(PathBuf::from);
    let (credentials, authorities) = (file("EVENTS_CREDENTIALS_FILE"), file("EVENTS_CA_FILE"));
    let Some(url) = url else {
        for (name, is_set) in
            [("EVENTS_CREDENTIALS_FILE", credentials.is_some()), ("EVENTS_CA_FILE", authorities.is_some())]
        {
            if is_set {
                mistakes.note(name, "is of no use without EVENTS_URL");
            }
        }
        return Some(None);
    };
    mistakes.take("EVENTS_URL", EventsServer::new(&url, credentials, authorities)).map(Some)
}

fn threads(mistakes: &mut Mistakes, name: &str, raw: Option<&str>, default_max: usize) -> Option<NonZeroUsize> {
    let Some(raw) = raw else {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        return Some(NonZeroUsize::new(default_max).map_or(cores, |max| cores.min(max)));
    };
    let parsed = raw.parse::<NonZeroUsize>().ok().filter(|count| count.get() <= THREADS_MAX);
    mistakes
        .take(name, parsed.ok_or_else(|| format!("`{raw}` is not valid: it must be a number from 1 to {THREADS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "INTERNAL_KEY").then(|| "k".repeat(ASSERTION_KEY_BYTES_MIN))
    }

    fn mistakes_of(args: &Args, lookup: Lookup<'_>) -> Vec<String> {
        match Settings::from_args(args, lookup).unwrap_err() {
            StartError::Config(mistakes) => mistakes,
            StartError::Failed(what) => panic!("{what}"),
        }
    }

    #[test]
    fn only_the_key_has_no_default() {
        let settings = Settings::from_args(&Args::default(), &lookup).unwrap();
        assert_eq!(settings.listen.to_string(), LISTEN_DEFAULT);
        assert_eq!(settings.database, DatabaseLocation::File("data/orders/orders.db".into()));
        assert_eq!(settings.drain_delay, Duration::ZERO);
        let mistakes = mistakes_of(&Args::default(), &|_| None);
        assert_eq!(mistakes, ["INTERNAL_KEY: missing; set INTERNAL_KEY or INTERNAL_KEY_FILE"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let wrong = |text: &str| Some(text.to_owned());
        let args = Args {
            listen: wrong("localhost"),
            database_url: wrong("mysql://orders:hunter2@db/orders"),
            drain_delay: wrong("soon"),
            log_format: wrong("xml"),
            workers: wrong("0"),
            readers: wrong("1000"),
            ..Args::default()
        };
        let mistakes = mistakes_of(&args, &|name| (name == "ORDERS_INTERNAL_KEY").then(|| "short".to_owned()));
        let named: Vec<&str> = mistakes.iter().filter_map(|line| line.split(':').next()).collect();
        let expected = [
            "ORDERS_LISTEN",
            "ORDERS_DATABASE_URL",
            "ORDERS_INTERNAL_KEY",
            "DRAIN_DELAY",
            "LOG_FORMAT",
            "ORDERS_WORKERS",
            "ORDERS_READERS",
        ];
        assert_eq!(named, expected);
        assert!(
            mistakes[1].contains("`mysql` is not supported") && !mistakes[1].contains("hunter2"),
            "{}",
            mistakes[1]
        );
    }

    #[test]
    fn an_empty_setting_counts_as_absent() {
        let empty = || Some(String::new());
        let args = Args { listen: empty(), database_url: empty(), log_format: empty(), ..Args::default() };
        assert_eq!(Settings::from_args(&args, &lookup).unwrap().listen.to_string(), LISTEN_DEFAULT);
    }

    #[test]
    fn a_password_is_for_a_server_and_replaces_that_of_its_url() {
        let of = |url: &str| Args { database_url: Some(url.to_owned()), ..Args::default() };
        let password = |name: &str| (name == "ORDERS_DATABASE_PASSWORD").then(|| "hunter2".to_owned());
        let database = of("postgres://o:old@db/orders").database(&password).unwrap();
        let DatabaseLocation::Server(server) = database else { panic!("{database:?}") };
        assert_eq!(server.config().get_password(), Some(b"hunter2".as_slice()));
        let refused = of("sqlite://orders.db").database(&password).unwrap_err().to_string();
        assert!(refused.contains("ORDERS_DATABASE_PASSWORD") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn the_key_of_this_service_comes_before_the_shared_one() {
        let both = |name: &str| match name {
            "ORDERS_INTERNAL_KEY" => Some("o".repeat(40)),
            "INTERNAL_KEY" => Some("k".repeat(40)),
            _ => None,
        };
        assert_eq!(Settings::from_args(&Args::default(), &both).unwrap().internal_key.expose(), "o".repeat(40));
    }
}
