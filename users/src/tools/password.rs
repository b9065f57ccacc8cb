//! Reads a new password: from a terminal, without showing it, or from the standard input. Never from the command line,
//! which every process of the machine can read.
//!
//! The tricky part is the interrupt. A program that is ended while the terminal shows nothing would leave it like that. So
//! Ctrl-C is not a signal meanwhile, but one more character that ends the line.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write, stdin},
    os::fd::{AsFd, OwnedFd},
};

use chassis::config::StartError;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::control::Password;

/// More than any password may have.
const BYTES_MAX: u64 = 4096;
/// What Ctrl-C sends.
const CTRL_C: u8 = 3;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// Read the password from the standard input, without the line break at its end, instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// Reads the password. On a terminal it is asked for twice.
    ///
    /// # Errors
    /// There is none to read, or two different ones.
    pub(super) fn read(&self) -> Result<Password, StartError> {
        let failed = |error| StartError::failed(format!("cannot read the password: {error}"));
        if self.password_stdin {
            let mut text = Zeroizing::new(String::new());
            stdin().take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
            return Ok(without_line_break(&text));
        }
        if !stdin().is_terminal() {
            let mistake = "--password-stdin: missing, and the standard input is no terminal to ask for a password";
            return Err(StartError::Config(vec![mistake.to_owned()]));
        }
        let first = ask("new password: ").map_err(failed)?;
        let second = ask("once more: ").map_err(failed)?;
        if first.0 == second.0 { Ok(first) } else { Err(StartError::failed("these are two different passwords")) }
    }
}

/// Asks for a line that is not shown.
fn ask(prompt: &str) -> io::Result<Password> {
    let hidden = Hidden::begin(stdin().as_fd().try_clone_to_owned()?)?;
    write!(io::stderr(), "{prompt}")?;
    let mut line = Zeroizing::new(Vec::new());
    let mut byte = [0];
    // Byte by byte, so that nothing is kept in a buffer that is not wiped.
    while !matches!(byte[0], b'\n' | CTRL_C)
        && (&hidden.terminal).read(&mut byte)? == 1
        && line.len() < BYTES_MAX as usize
    {
        line.push(byte[0]);
    }
    drop(hidden);
    writeln!(io::stderr())?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let text = str::from_utf8(&line).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(without_line_break(text))
}

fn without_line_break(text: &str) -> Password {
    let line = text.strip_suffix('\n').unwrap_or(text);
    Password(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn begin(terminal: OwnedFd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        // What was typed before is dropped: it was not meant to be a password.
        tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal: terminal.into(), before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
