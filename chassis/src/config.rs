//! Configuration: the command line and the environment, read once, with every mistake reported at once.

use std::{ffi::OsString, fmt, fs, path::Path, process::ExitCode, str::FromStr};

use clap::Parser;
use zeroize::Zeroizing;

/// Exit code of a wrong configuration or command line (`EX_USAGE` of `sysexits.h`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of a start that failed for another reason: a port in use, a broken file.
pub const EXIT_FAILED: u8 = 1;

/// Looks up an environment variable. A function, so that tests and `stack` need no process environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment, where an empty variable counts as absent (Compose passes those).
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is not valid: one line for each mistake.
    Config(Vec<String>),
    /// The configuration is valid, but something that it names could not be used.
    Failed(String),
}

impl StartError {
    /// A failed start; `what` says what failed and what to do about it.
    pub fn failed(what: impl fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_USAGE,
            Self::Failed(_) => EXIT_FAILED,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what) => f.write_str(what),
            Self::Config(mistakes) => {
                write!(f, "the configuration has {}:", counted(mistakes.len(), "mistake"))?;
                mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for StartError {}

/// A number of things, as people write it: `1 mistake`, `2 mistakes`.
pub fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Parses the command line into `A`. Help and version end the process with 0, a usage error with [`EXIT_USAGE`].
pub fn parse_args<A: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<A, ExitCode> {
    A::try_parse_from(args).map_err(|error| {
        // If the terminal is closed, there is nowhere to print to.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Ends a `main`: prints the error, once, and turns it into the exit code.
pub fn exit(name: &str, result: Result<(), StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Collects the mistakes of a configuration, so that all of them are reported at once.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Adds a mistake in the setting `name`.
    pub fn note(&mut self, name: &str, what: impl fmt::Display) {
        self.0.push(format!("{name}: {what}"));
    }

    /// Parses a setting, or adds the mistake.
    pub fn parse<T>(&mut self, name: &str, raw: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let parsed = raw.trim().parse().map_err(|error| format!("`{raw}` is not valid: {error}"));
        self.take(name, parsed)
    }

    /// Returns the value, or adds its error as a mistake.
    pub fn take<T>(&mut self, name: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.note(name, error)).ok()
    }

    /// Like [`secret`], adding its error as a mistake.
    pub fn secret(&mut self, name: &str, lookup: Lookup<'_>) -> Option<Secret> {
        self.take(name, secret(name, lookup)).flatten()
    }

    /// Like [`secret`](Self::secret), where the absence of the secret is a mistake too.
    pub fn required_secret(&mut self, name: &str, lookup: Lookup<'_>) -> Option<Secret> {
        let count = self.0.len();
        let secret = self.secret(name, lookup);
        if secret.is_none() && self.0.len() == count {
            self.note(name, format!("missing; set {name} or {name}_FILE"));
        }
        secret
    }

    /// Returns the settings, or every mistake. `settings` is `None` only if there is a mistake.
    pub fn finish<T>(mut self, settings: Option<T>) -> Result<T, StartError> {
        match settings {
            Some(settings) if self.0.is_empty() => Ok(settings),
            Some(_) | None => {
                if self.0.is_empty() {
                    self.0.push("a setting is missing".to_owned());
                }
                Err(StartError::Config(self.0))
            }
        }
    }
}

/// Reads a secret from the variable `name`, or from the file that the variable `{name}_FILE` names.
///
/// # Errors
/// Both are set, or the file cannot be read.
pub fn secret(name: &str, lookup: Lookup<'_>) -> Result<Option<Secret>, String> {
    let file_variable = format!("{name}_FILE");
    match (lookup(name), lookup(&file_variable)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Secret::new(value))),
        (None, Some(path)) => Secret::from_file(Path::new(&path)).map(Some),
        (Some(_), Some(_)) => Err(format!("both {name} and {file_variable} are set; keep one of them")),
    }
}

/// Parses a duration: `250ms`, `30s`, `15m`, `2h`, `7d`; a number without a unit is seconds.
///
/// # Errors
/// Says what the format is.
pub fn parse_duration(raw: &str) -> Result<std::time::Duration, String> {
    let invalid = || format!("`{raw}` is not a duration; write it like 250ms, 30s, 15m, 2h or 7d");
    let raw_trimmed = raw.trim();
    let digits = raw_trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw_trimmed.len());
    let (number, unit) = raw_trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return Err(invalid()),
    };
    number.checked_mul(unit_ms).map(std::time::Duration::from_millis).ok_or_else(invalid)
}

/// A secret value. It is wiped from memory when dropped, and `Debug` does not show it. Comparison is for
/// configurations only: it does not take constant time, so that a secret is never compared with what a client sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Reads a secret from a file, without one trailing newline, which editors and `echo` add.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let text = Zeroizing::new(text);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// The secret itself, for the place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The bytes of a key.
    ///
    /// # Errors
    /// Refuses keys under `bytes_min` bytes; the message says how to make one.
    pub fn key(&self, bytes_min: usize) -> Result<&[u8], String> {
        let bytes = self.0.as_bytes();
        if bytes.len() < bytes_min {
            return Err(format!(
                "needs at least {bytes_min} bytes, but has {}; make one with `openssl rand -base64 32`",
                bytes.len()
            ));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn environment_of(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut mistakes = Mistakes::default();
        let port: Option<u16> = mistakes.parse("PORT", "eighty");
        let key = mistakes.required_secret("KEY", &environment_of(&[("KEY", "a"), ("KEY_FILE", "b")]));
        let other = mistakes.required_secret("OTHER", &environment_of(&[]));
        let error = mistakes.finish(port.and(key).and(other)).unwrap_err();
        let StartError::Config(lines) = error else { panic!("not a configuration error: {error}") };
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("PORT: `eighty` is not valid"), "{lines:?}");
        assert!(lines[1].contains("both KEY and KEY_FILE"), "{lines:?}");
        assert!(lines[2].contains("set OTHER or OTHER_FILE"), "{lines:?}");
    }

    #[test]
    fn one_mistake_is_not_several() {
        let shown = |mistakes: &[&str]| {
            StartError::Config(mistakes.iter().map(|mistake| (*mistake).to_owned()).collect()).to_string()
        };
        assert_eq!(shown(&["a"]), "the configuration has 1 mistake:\n  a");
        assert_eq!(shown(&["a", "b"]), "the configuration has 2 mistakes:\n  a\n  b");
    }

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "[redacted]");
    }

    #[test]
    fn a_secret_file_loses_one_newline() {
        let file = std::env::temp_dir().join(format!("chassis-secret-{}", std::process::id()));
        fs::write(&file, "two\n\n").unwrap();
        let secret = Secret::from_file(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(secret.expose(), "two\n");
    }

    #[test]
    fn durations_have_units() {
        for (raw, expected) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("30s", Some(Duration::from_secs(30))),
            ("5", Some(Duration::from_secs(5))),
            ("60m", Some(Duration::from_secs(3600))),
            ("2h", Some(Duration::from_secs(7200))),
            ("7d", Some(Duration::from_secs(604_800))),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 fortnight", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(parse_duration(raw).ok(), expected, "{raw}");
        }
    }
}
