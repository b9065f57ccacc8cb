//! How the log is kept, and where.

/// The folder of the log, in the data folder.
pub(crate) const FOLDER: &str = "audit";

/// How the audit log is kept.
#[derive(Clone, Copy, Debug)]
pub struct AuditSettings {
    /// Maximum size of all files together, in MiB. Where they are larger, the oldest file is removed.
    pub mib_max: u64,
    /// Whether each line is printed on standard output, too, as soon as it is durable.
    pub on_stdout: bool,
    /// Whether what cannot be recorded is refused. Otherwise it is done, and counted as lost.
    pub is_required: bool,
    /// Which program keeps it.
    pub opener: Opener,
}

/// What opens the log, and ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    Service {
        /// Whether it installs the demo users in an empty folder.
        demo: bool,
    },
    /// A command, while no service runs.
    Command,
}

/// A quarter of the volume that the chart asks for by default, 1 GiB, so that no flood of failed sign-ins takes the room of
/// the users. A line has about 300 bytes: 256 MiB are 900,000 of them.
pub(crate) const MIB_MAX_DEFAULT: u64 = 256;

impl Default for AuditSettings {
    fn default() -> Self {
        let opener = Opener::Service { demo: false };
        Self { mib_max: MIB_MAX_DEFAULT, on_stdout: false, is_required: true, opener }
    }
}
