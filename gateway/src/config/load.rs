//! Loads a configuration from a file or a text, and renders every mistake. Knows no key.

use std::{fs, io, path::Path};

use chassis::config::{Lookup, StartError};

use super::{
    decode::file,
    model::Config,
    yaml::{
        mistake::{self, Mistake, Mistakes},
        tree,
    },
};
use crate::hooks::Hooks;

/// Loads the YAML at `path`.
///
/// # Errors
/// The file cannot be read, or every mistake in it, rendered.
pub(crate) fn load(path: &Path, lookup: Lookup<'_>) -> Result<Config, StartError> {
    load_with(path, lookup, &Hooks::default())
}

/// Loads the YAML at `path`, in which routes may name these hooks.
///
/// # Errors
/// The file cannot be read, or every mistake in it, rendered.
pub(crate) fn load_with(path: &Path, lookup: Lookup<'_>, hooks: &Hooks) -> Result<Config, StartError> {
    load_bytes_with(path, fs::read(path), lookup, hooks)
}

/// Loads the YAML that was read from the file at `path`, in which routes may name these hooks.
///
/// # Errors
/// The file could not be read, or every mistake in it, rendered.
pub(crate) fn load_bytes_with(
    path: &Path,
    bytes: io::Result<Vec<u8>>,
    lookup: Lookup<'_>,
    hooks: &Hooks,
) -> Result<Config, StartError> {
    load_text_with(&path.display().to_string(), &text(path, bytes)?, lookup, hooks)
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn read(path: &Path) -> Result<String, StartError> {
    text(path, fs::read(path))
}

fn text(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<String, StartError> {
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    text.map_err(|error| {
        StartError::Config(vec![format!("cannot read the configuration {}: {error} (GATEWAY_CONFIG)", path.display())])
    })
}

/// Loads YAML from memory, in which routes may name these hooks. Mistakes call the text `name`.
///
/// # Errors
/// Every mistake, rendered.
pub(crate) fn load_text_with(
    name: &str,
    source: &str,
    lookup: Lookup<'_>,
    hooks: &Hooks,
) -> Result<Config, StartError> {
    Config::load_with(source, lookup, hooks).map_err(|mistakes| {
        StartError::Config(mistakes.iter().map(|mistake| mistake::render(mistake, name, source)).collect())
    })
}

impl Config {
    /// Decodes a configuration. `lookup` returns the values of environment variables. Hooks that a program registers are
    /// not known here; use [`Builder::load_text`](crate::Builder::load_text) for a file that names some.
    ///
    /// # Errors
    /// Every mistake, in the order of the lines.
    ///
    /// ```
    /// use gateway::config::Config;
    ///
    /// let yaml = "version: 1\nlisten: ${LISTEN}\nadmin: 127.0.0.1:9000\nupstreams: {}\nroutes: []\n";
    /// assert!(Config::load(yaml, &|name| (name == "LISTEN").then(|| "127.0.0.1:8001".to_owned())).is_ok());
    ///
    /// let mistakes = Config::load(yaml, &|_| None).unwrap_err();
    /// assert_eq!(mistakes[0].path, "listen");
    /// assert!(mistakes[0].message.contains("the environment variable LISTEN is not set"));
    /// ```
    pub fn load(source: &str, lookup: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        Self::load_with(source, lookup, &Hooks::default())
    }

    fn load_with(source: &str, lookup: Lookup<'_>, hooks: &Hooks) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let config =
            tree::parse(source, lookup, &mistakes).and_then(|root| file::config(&root, lookup, hooks, &mistakes));
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            Some(_) | None => Err(mistakes.into_sorted(source)),
        }
    }
}
