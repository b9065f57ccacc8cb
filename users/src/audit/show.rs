//! Prints the lines of a log that somebody asks for, as text for people or as they are. Changes nothing.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Write},
    path::Path,
};

use chassis::timestamp::Timestamp;
use serde_json::Value;

use super::files::{names, read_line};

/// Which lines are shown: those that satisfy all that is given.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// From this time on.
    pub(crate) since: Option<Timestamp>,
    /// With one of these names; any where there is none.
    pub(crate) events: Vec<String>,
    /// By or about this user: an id or a name.
    pub(crate) user: Option<String>,
}

/// Prints lines, the oldest first, whole ones only. `as_json` prints them as they are.
///
/// # Errors
/// The files cannot be read, or the lines not be written.
pub(crate) fn show(folder: &Path, filter: &Filter, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    for name in names(folder)? {
        let mut file = match File::open(folder.join(name)) {
            Ok(file) => BufReader::new(file),
            // A service has removed it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut line = Vec::new();
        while read_line(&mut file, &mut line)? > 0 {
            // What cannot be read is for `verify` to find.
            let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
            if !filter.wants(&value) {
                continue;
            }
            if as_json {
                out.write_all(&line)?;
            } else {
                writeln!(out, "{}", text(&value))?;
            }
        }
    }
    out.flush()
}

impl Filter {
    fn wants(&self, line: &Value) -> bool {
        let time = || line["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let is_recent = self.since.is_none_or(|since| time().is_some_and(|time| time >= since));
        let event = line["event"].as_str().unwrap_or_default();
        let is_wanted = self.events.is_empty() || self.events.iter().any(|wanted| wanted == event);
        is_recent && is_wanted && self.user.as_ref().is_none_or(|user| concerns(line, user))
    }
}

/// Whether a line is by or about a user.
fn concerns(line: &Value, user: &str) -> bool {
    let is_user = |person: &Value| {
        person["name"].as_str() == Some(user) || person["id"].as_i64().is_some_and(|id| id.to_string() == user)
    };
    let others = line["details"]["users"].as_array().map(Vec::as_slice).unwrap_or_default();
    [&line["by"], &line["user"]].into_iter().chain(others).any(is_user)
}

/// One line for people: the time, the event, and the other fields as they are but for the chain.
fn text(line: &Value) -> String {
    let field = |name: &str| escape(line[name].as_str().unwrap_or_default());
    let mut text = format!("{}  {}  {}", field("time"), field("event"), field("outcome"));
    for (name, value) in line.as_object().into_iter().flatten() {
        if !["seq", "time", "event", "outcome", "prev"].contains(&name.as_str()) {
            text.push_str(&format!("  {name}={}", escape(&brief(value))));
        }
    }
    text
}

fn brief(value: &Value) -> String {
    match (value, &value["id"], &value["name"]) {
        (_, Value::Number(id), Value::String(name)) => format!("{name}({id})"),
        (_, Value::Number(id), _) => format!("({id})"),
        (Value::String(text), _, _) => text.clone(),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_), _, _) => {
            value.to_string()
        }
    }
}

/// What a terminal might obey is shown as an escape sequence.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}
