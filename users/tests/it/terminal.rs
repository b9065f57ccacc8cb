//! Commands in a terminal: they ask for a password, and show nothing of it.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use chassis::testing::{Process, until};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::{
    fixture::{Folder, PASSWORD, login},
    process::command,
};

/// A terminal with a command in it.
struct Terminal {
    keyboard: File,
    /// The side of the command, kept open so that its modes can be looked at after the command has ended.
    tty: File,
    shown: Arc<Mutex<String>>,
    command: Child,
}

impl Terminal {
    fn run(folder: &Folder, arguments: &[&str]) -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let tty = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
        let side = || Stdio::from(tty.try_clone().unwrap());
        let mut users = command(&folder.data());
        let command = users.args(arguments).stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let (keyboard, shown) = (File::from(master), Arc::new(Mutex::new(String::new())));
        let (mut screen, text) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count) = screen.read(&mut bytes) {
                text.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { keyboard, tty, shown, command }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Types a text once this is shown.
    fn types_after(&mut self, prompt: &str, text: &str) {
        until(prompt, || {
            let ended = self.command.try_wait().unwrap();
            assert!(ended.is_none(), "it has ended instead: {}", self.shown());
            self.shown().ends_with(prompt)
        });
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, and all that was shown.
    fn ended(&mut self) -> (i32, String) {
        let code = self.command.wait().unwrap().code().unwrap();
        // The line break after a prompt is not the last one.
        until("the last line is shown", || self.shown().ends_with("\r\n") && !self.shown().ends_with(": \r\n"));
        let modes = tcgetattr(&self.tty).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ISIG), "the terminal shows again what is typed");
        (code, self.shown())
    }
}

fn demo() -> Folder {
    let folder = Folder::new();
    Process::serve(&mut command(&folder.data())).terminate();
    folder
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let folder = demo();
    let mut terminal = Terminal::run(&folder, &["create", "ann"]);
    terminal.types_after("new password: ", &format!("{PASSWORD}\n"));
    terminal.types_after("once more: ", &format!("{PASSWORD}\n"));
    let (code, shown) = terminal.ended();
    assert_eq!((code, shown.as_str()), (0, "new password: \r\nonce more: \r\nuser 4 was created\r\n"));
    let service = Process::serve(&mut command(&folder.data()));
    assert_eq!(login("ann", PASSWORD).send(service.addr()).status, 200);
    service.terminate();
}

#[test]
fn two_different_passwords_and_an_interrupt_change_nothing() {
    let folder = demo();
    let mut terminal = Terminal::run(&folder, &["set-password", "admin"]);
    terminal.types_after("new password: ", &format!("{PASSWORD}\n"));
    terminal.types_after("once more: ", "another\n");
    let (code, shown) = terminal.ended();
    assert_eq!((code, shown.contains("two different passwords")), (1, true), "{shown}");

    let mut terminal = Terminal::run(&folder, &["set-password", "admin"]);
    terminal.types_after("new password: ", "four wo\u{3}");
    let (code, shown) = terminal.ended();
    assert_eq!((code, shown.contains("cannot read the password"), shown.contains("four")), (1, true, false), "{shown}");

    let service = Process::serve(&mut command(&folder.data()));
    assert_eq!(login("admin", "a").send(service.addr()).status, 200, "the old password");
    service.terminate();
}
