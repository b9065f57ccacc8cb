//! Output of commands: JSON for programs; colours for people, on a terminal, unless `NO_COLOR` is set
//! (<https://no-color.org>).

use std::io::{IsTerminal, stderr, stdout};

use chassis::config::StartError;

/// Prints JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), StartError> {
    println!("{}", serde_json::to_string_pretty(value).map_err(StartError::failed)?);
    Ok(())
}

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn stdout() -> Self {
        Self(stdout().is_terminal() && colours_allowed())
    }

    pub(crate) fn stderr() -> Self {
        Self(stderr().is_terminal() && colours_allowed())
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn colours_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
