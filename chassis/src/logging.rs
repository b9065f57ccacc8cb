//! Logging: the `log` facade with key-values, env_logger as the sink. Readable in a terminal, JSON lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    str::FromStr,
    time::SystemTime,
};

use env_logger::fmt::Formatter;
use log::{
    Record,
    kv::{self, Key, Value, VisitSource},
};
use serde_json::{Map, json};

use crate::timestamp::Timestamp;

/// The server library logs a line for every worker and listener; the services log one line with the same content.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

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
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(DEFAULT_FILTER));
    match format.unwrap_or(in_terminal) {
        LogFormat::Text => builder.format_target(false),
        LogFormat::Json => builder.format(write_json),
    };
    // In tests the process may have a logger already, which stays.
    let _ = builder.try_init();
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
