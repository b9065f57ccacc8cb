//! The real program as a process.

use std::process::{Command, Stdio};

use chassis::testing::Process;

use crate::fixture::{Folder, KEY};

/// The program as a command that has not run yet.
pub(crate) fn command(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command
        .env_clear()
        .env("ORDERS_LISTEN", "127.0.0.1:0")
        .env("ORDERS_DATABASE_URL", folder.url())
        .env("INTERNAL_KEY", KEY)
        .env("LOG_FORMAT", "json")
        .stdin(Stdio::null());
    command
}

/// Runs a program that must not start: its exit code and what it said.
pub(crate) fn refused(command: &mut Command) -> (Option<i32>, String) {
    let (status, said) = Process::spawn(command).ended();
    (status.code(), said)
}

/// Starts the program and waits until it listens.
pub(crate) fn start(folder: &Folder) -> Process {
    Process::serve(&mut command(folder))
}
