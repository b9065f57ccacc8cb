//! What a program did with the files of a folder, in order, with notes of the test in between. Written by `faulty_disk.c`.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The file of a recording.
#[derive(Clone, Debug)]
pub struct Recording(PathBuf);

/// A call that succeeded, an fsync, or a note. Files are named as in their folder; the folder itself has an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program starts: what others have opened is closed.
    Start,
    Open {
        fd: i32,
        is_new: bool,
        is_cut: bool,
        appends: bool,
        name: String,
    },
    /// A write at a place, or where the one before it ended.
    Write {
        fd: i32,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    Truncate {
        fd: i32,
        length: usize,
    },
    Sync {
        fd: i32,
        has_succeeded: bool,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        name: String,
    },
    /// What the test did at this moment.
    Note(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Open { fd, is_new, name, .. } => {
                write!(f, "{fd} = {} `{name}`", if *is_new { "create" } else { "open" })
            }
            Self::Write { fd, at: None, bytes } => write!(f, "write {fd}, {} bytes", bytes.len()),
            Self::Write { fd, at: Some(at), bytes } => write!(f, "write {fd} at {at}, {} bytes", bytes.len()),
            Self::Truncate { fd, length } => write!(f, "truncate {fd} to {length}"),
            Self::Sync { fd, has_succeeded: true } => write!(f, "fsync {fd}"),
            Self::Sync { fd, has_succeeded: false } => write!(f, "fsync {fd} fails"),
            Self::Rename { from, to } => write!(f, "rename `{from}` to `{to}`"),
            Self::Unlink { name } => write!(f, "unlink `{name}`"),
            Self::Note(text) => write!(f, "  {text}"),
        }
    }
}

impl Recording {
    /// A recording that begins in this file.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Adds a note after everything that has happened so far. Several threads may do so.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn note(&self, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.0);
        // In one write, so that it stays whole among those of the program.
        file.and_then(|mut file| file.write_all(format!("note {text}\n").as_bytes()))
            .expect("a file for the recording");
    }

    /// Everything so far.
    ///
    /// # Panics
    /// Where something is no event.
    pub fn events(&self) -> Vec<Event> {
        let bytes = fs::read(&self.0).expect("a recording");
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while let Some(event) = read(&mut rest) {
            events.push(event);
        }
        assert!(rest.is_empty(), "no event: {:?}", String::from_utf8_lossy(&rest[..rest.len().min(100)]));
        events
    }
}

/// Reads the first event.
fn read(rest: &mut &[u8]) -> Option<Event> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).ok()?;
    let (call, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = arguments.splitn(3, ' ');
    let mut after = &rest[end + 1..];
    let event = match call {
        "start" => Event::Start,
        "note" => Event::Note(arguments.to_owned()),
        "open" => {
            let (fd, flags, name) = (parse(words.next())?, words.next()?, words.next()?.to_owned());
            let has = |flag| flags.contains(flag);
            Event::Open { fd, is_new: has('c'), is_cut: has('t'), appends: has('a'), name }
        }
        "write" => {
            let (fd, at, count) = (parse(words.next())?, parse::<i64>(words.next())?, parse(words.next())?);
            let bytes;
            (bytes, after) = after.split_at_checked(count)?;
            Event::Write { fd, at: usize::try_from(at).ok(), bytes: bytes.to_owned() }
        }
        "truncate" => Event::Truncate { fd: parse(words.next())?, length: parse(words.next())? },
        "sync" => Event::Sync { fd: parse(words.next())?, has_succeeded: words.next()? == "1" },
        "rename" => {
            let (from, to) = arguments.split_once('\t')?;
            Event::Rename { from: from.to_owned(), to: to.to_owned() }
        }
        "unlink" => Event::Unlink { name: arguments.to_owned() },
        _ => return None,
    };
    *rest = after;
    Some(event)
}

fn parse<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}
