//! Logging: the `log` facade with key-values, env_logger as the sink. Readable in a terminal, JSON lines elsewhere.
//!
//! What a client does wrong is no error of a service. Problems are not logged for that reason, and what the server library
//! logs about requests that it cannot read is turned into one line at INFO here: it has no setting for that.

use std::{
    io::{self, IsTerminal, Write},
    str::FromStr,
    time::SystemTime,
};

use env_logger::fmt::Formatter;
use log::{
    Level, LevelFilter, Log, Metadata, Record,
    kv::{self, Key, Value, VisitSource},
};
use serde_json::{Map, json};

use crate::timestamp::Timestamp;

/// The server library logs a line for every worker and listener; the services log one line with the same content.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// The client of NATS logs at INFO and ERROR what the service that uses it reports itself. `RUST_LOG=async_nats=debug` shows it.
const QUIET_MODULE: &str = "async_nats";

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("it must be `text` or `json`"),
        }
    }
}

/// Sends the log of this process to standard error. `RUST_LOG` filters it; without it, the level is `info`.
pub fn init(format: Option<LogFormat>) {
    let in_terminal = if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let mut builder = env_logger::Builder::new();
    // Before the environment, which can say otherwise.
    builder.filter_module(QUIET_MODULE, LevelFilter::Off);
    builder.parse_env(env_logger::Env::default().default_filter_or(DEFAULT_FILTER));
    match format.unwrap_or(in_terminal) {
        LogFormat::Text => builder.format_target(false),
        LogFormat::Json => builder.format(write_json),
    };
    let sink = builder.build();
    let level = sink.filter();
    // In tests the process may have a logger already, which stays.
    if log::set_boxed_logger(Box::new(ServiceLog(sink))).is_ok() {
        log::set_max_level(level);
    }
}

/// Sends warnings and errors of a command to standard error, for people. `RUST_LOG` filters them.
pub fn init_for_command() {
    let warnings = env_logger::Env::default().default_filter_or("warn");
    let built = env_logger::Builder::from_env(warnings).format_target(false).format_timestamp(None).try_init();
    // In tests the process may have a logger already, which stays.
    drop(built);
}

/// The log of a service: passes everything on to the sink, except for what actix-http logs about clients.
struct ServiceLog(env_logger::Logger);

impl Log for ServiceLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        match ClientError::of(record) {
            None => self.0.log(record),
            Some(ClientError::Repeated) => {}
            Some(ClientError::Unreadable(why)) => {
                let mut line = Record::builder();
                line.level(Level::Info).target(module_path!());
                self.0.log(&line.args(format_args!("a request could not be read: {why}")).build());
            }
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// What actix-http logs as an error although it is the client's.
enum ClientError {
    /// A connection ended because its request is malformed, or because the client closed it.
    Unreadable(String),
    /// The same as the line that follows it.
    Repeated,
}

impl ClientError {
    fn of(record: &Record<'_>) -> Option<Self> {
        match (record.level(), record.target()) {
            (Level::Error, "actix_http::h1::dispatcher") => {
                record.args().to_string().strip_prefix("stream error: ").map(|why| Self::Unreadable(why.to_owned()))
            }
            (Level::Error, "actix_http::h1::decoder") => {
                record.args().to_string().starts_with("MAX_BUFFER_SIZE").then_some(Self::Repeated)
            }
            _ => None,
        }
    }
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = Map::new();
    line.insert("time".to_owned(), json!(Timestamp::from(SystemTime::now())));
    line.insert("level".to_owned(), json!(record.level().as_str()));
    line.insert("target".to_owned(), json!(record.target()));
    line.insert("message".to_owned(), json!(record.args().to_string()));
    // The visitor below never fails.
    let _ = record.key_values().visit(&mut JsonFields(&mut line));
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

struct JsonFields<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let value = serde_json::to_value(&value).unwrap_or_else(|_| json!(value.to_string()));
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}
