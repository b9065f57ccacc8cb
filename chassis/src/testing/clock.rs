//! A clock that can be set while a program runs, as an administrator or NTP does.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::preload;

const SOURCE: &str = include_str!("clock.c");

/// The time of day of the programs that it is attached to. Durations stay as they are.
pub struct Clock {
    shared_object: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// A clock that is right until it is set; `control` is a folder for its files.
    pub fn new(control: &Path) -> Self {
        Self { shared_object: preload::compile("clock", SOURCE, control), offset: control.join("clock_offset") }
    }

    /// Makes a program use this clock.
    pub fn attach_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.shared_object).env("CLOCK_OFFSET", &self.offset)
    }

    /// Sets the clock so many seconds ahead, or back where that is negative.
    ///
    /// # Panics
    /// Where its folder cannot be written to.
    pub fn set(&self, seconds: i64) {
        let new = self.offset.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("a folder that can be written to");
        // At once: the program never reads half of it.
        fs::rename(new, &self.offset).expect("a folder that can be written to");
    }
}
