//! A disk that is full, fails or stalls on demand: a small library, compiled here and loaded by `LD_PRELOAD`, replaces the
//! system calls of a program on its files.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
};

use super::{preload, recording::Recording};

const SOURCE: &str = include_str!("faulty_disk.c");

/// Which calls fail by their number, and how: `write`, `fsync`, `rename`, `open` (any file), `create` (a file that does not
/// exist), `truncate` or `unlink`.
#[derive(Clone, Debug)]
pub struct FailingCalls {
    pub kind: &'static str,
    pub numbers: RangeInclusive<u32>,
    /// The error, as a number of the operating system. A `write` that fails may have written the first half.
    pub errno: i32,
}

/// A data folder whose disk fails on demand. Its faults are `full` (no room), `broken` (no write succeeds), `fsync` (no
/// fsync succeeds), `stall` (no fsync returns) and `slow` (each fsync takes 0.6 s); `crash` kills a recorded program at its
/// next call.
pub struct FaultyDisk {
    data: PathBuf,
    /// Where the library is, and the files that switch faults on.
    control: PathBuf,
}

impl FaultyDisk {
    /// Compiles the library into the folder `control`; faults are of files below `data`.
    ///
    /// # Panics
    /// Where there is no C compiler, which building the services needs, too.
    pub fn new(data: &Path, control: &Path) -> Self {
        preload::compile("faulty_disk", SOURCE, control);
        Self { data: data.to_owned(), control: control.to_owned() }
    }

    /// The same disk for another folder, without compiling the library again.
    #[must_use]
    pub fn at(&self, data: &Path) -> Self {
        Self { data: data.to_owned(), control: self.control.clone() }
    }

    /// Makes a program use this disk.
    pub fn attach_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", self.file("faulty_disk.so"))
            .env("FAULT_FOLDER", &self.data)
            .env("FAULT_CONTROL", &self.control)
    }

    /// Records what a program does with the files, so that [`VolatileDisk`](super::VolatileDisk) can tell what a power loss
    /// would have left. Programs that run one after the other may share a recording.
    pub fn record<'a>(&self, command: &'a mut Command, recording: &Recording) -> &'a mut Command {
        command.env("FAULT_RECORDING", recording.path())
    }

    /// Makes calls of a program that uses this disk fail by their number, counted from 1 in each process.
    pub fn fail_calls<'a>(&self, command: &'a mut Command, failing: &[FailingCalls]) -> &'a mut Command {
        let rules = failing.iter().map(|FailingCalls { kind, numbers, errno }| {
            format!("{kind} {} {} {errno};", numbers.start(), numbers.end())
        });
        command.env("FAULT_CALLS", rules.collect::<String>())
    }

    /// Whether a call has failed by its number, since this was asked last.
    pub fn has_failed_a_call(&self) -> bool {
        fs::remove_file(self.file("reached")).is_ok()
    }

    /// Switches a fault on.
    pub fn fail(&self, fault: &str) {
        fs::write(self.file(fault), "").expect("a folder that can be written to");
    }

    /// Switches a fault off that may be switched on.
    pub fn heal_if_failing(&self, fault: &str) {
        let _ = fs::remove_file(self.file(fault));
    }

    /// Switches a fault off.
    pub fn heal(&self, fault: &str) {
        fs::remove_file(self.file(fault)).expect("a fault that is switched on");
    }

    /// Runs `act`, and returns the calls that made something durable meanwhile, in order: `fsync NAME` and `rename NAME`.
    pub fn traced(&self, act: impl FnOnce()) -> Vec<String> {
        self.fail("trace");
        act();
        let trace = fs::read_to_string(self.file("trace")).expect("a trace");
        self.heal("trace");
        trace.lines().map(str::to_owned).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.control.join(name)
    }
}
