//! The files of the log: `audit/NUMBER.jsonl`, where the number is that of the first line in it. Appends lines durably, begins a
//! new file where one is full, and removes the oldest where all are too large. Knows no thread.
//!
//! The tricky part is the end of the last file after a crash. What a crash interrupted has no line feed at its end, or has
//! blocks that were never written and read as zeros, which JSON does not contain; it was never acknowledged, and is cut off.
//! Anything else that cannot be read was changed by somebody. It stays as it is, and the log goes on in a new file.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use chassis::{
    config::StartError,
    store::{StoreFault, fault::Cause, folder},
    timestamp::Timestamp,
};

use super::{
    event::{Event, Removed},
    line::{End, Hash, LINE_BYTES_MAX},
};

const SUFFIX: &str = ".jsonl";
/// With 20 digits, which the largest number has, the names sort as the numbers do.
const DIGITS: usize = 20;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Maximum size of what a crash can interrupt: a batch of 1,023 lines of at most 2 KiB. More than that is never cut off.
const CUT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Into how many files the maximum size is divided: as much as one of them goes at a time.
const FILES_MIN: u64 = 16;

/// The files, opened for appending.
pub(super) struct Files {
    folder: PathBuf,
    /// The names and sizes of the files that are closed, by age.
    older: VecDeque<(String, u64)>,
    /// Where the next lines go; absent where they begin a new file.
    current: Option<Current>,
    end: End,
    bytes_max: u64,
}

/// A file that lines are appended to.
struct Current {
    name: String,
    file: File,
    bytes: u64,
}

/// What a start found at the end of the log.
pub(super) enum Found {
    /// What was written last is whole.
    Whole,
    /// The end, cut short by a crash, was cut off.
    Cut { file: String, bytes: u64 },
    /// The end is unreadable though not by a crash.
    Damaged { file: String, bytes: u64 },
}

/// An event with its time.
pub(super) type Timed = (Timestamp, Event);

impl Files {
    /// Opens what is in the folder. It is created with the first line, so that a full disk is no reason not to start.
    /// Whoever calls this has locked the folder above it.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<(Self, Found), StartError> {
        let failed = |error| StartError::failed(format!("cannot use the audit log in {}: {error}", folder.display()));
        Self::open_in(folder, bytes_max).map_err(failed)
    }

    fn open_in(folder: &Path, bytes_max: u64) -> io::Result<(Self, Found)> {
        let mut older = VecDeque::new();
        if folder.exists() {
            restrict_access(folder, FOLDER_MODE);
            for name in names(folder)? {
                restrict_access(&folder.join(&name), FILE_MODE);
                older.push_back((name.clone(), fs::metadata(folder.join(&name))?.len()));
            }
        }
        let (end, found) = last_line(folder, &older)?;
        let mut current = None;
        if !matches!(found, Found::Damaged { .. })
            && let Some((name, size)) = older.pop_back()
        {
            let file = OpenOptions::new().append(true).open(folder.join(&name))?;
            let cut = if let Found::Cut { bytes, .. } = &found { *bytes } else { 0 };
            if cut > 0 {
                file.set_len(size - cut)?;
            }
            // What a process that crashed has written may be in the page cache only, and is about to be built upon.
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
            // An empty file is begun anew: it has the name that the next one gets.
            current = (size > cut).then_some(Current { name, file, bytes: size - cut });
        }
        Ok((Self { folder: folder.to_owned(), older, current, end, bytes_max }, found))
    }

    /// The end of the chain.
    pub(super) const fn end(&self) -> End {
        self.end
    }

    /// Makes the lines of these events durable with one fsync, and returns them. Begins a new file before where it is time.
    ///
    /// # Errors
    /// Nothing was recorded, or the outcome is unknown.
    pub(super) fn append(&mut self, events: &[Timed]) -> Result<Vec<u8>, StoreFault> {
        let (lines, end) = encode(self.end, events)?;
        let file_bytes_max = self.bytes_max / FILES_MIN;
        let Some(current) = self.current.as_mut().filter(|current| current.bytes + size(&lines) <= file_bytes_max)
        else {
            return self.append_to_new_file(events);
        };
        current.write(&lines)?;
        self.end = end;
        Ok(lines)
    }

    /// Begins a new file with these events, after those that tell which files are removed.
    fn append_to_new_file(&mut self, events: &[Timed]) -> Result<Vec<u8>, StoreFault> {
        let removed = self.files_to_remove().map_err(|error| StoreFault::failed("read the audit log", error))?;
        let time = events.first().map(|(time, _)| *time);
        let removals =
            time.into_iter().flat_map(|time| removed.iter().map(move |file| (time, Event::file_removed(file.clone()))));
        let all: Vec<Timed> = removals.chain(events.iter().cloned()).collect();
        let (lines, end) = encode(self.end, &all)?;
        folder::create(&self.folder, FOLDER_MODE).map_err(before_fsync)?;
        let name = file_name(self.end.seq + 1);
        let file = open_new(&self.folder.join(&name)).map_err(before_fsync)?;
        let mut current = Current { name, file, bytes: 0 };
        if let Err(fault) = current.write(&lines) {
            // An empty file that cannot be removed is begun anew by the next start.
            let _ = fs::remove_file(self.folder.join(&current.name));
            return Err(fault);
        }
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(unknown)?;
        self.older.extend(self.current.replace(current).map(|Current { name, bytes, .. }| (name, bytes)));
        self.end = end;
        self.remove(&removed);
        Ok(lines)
    }

    /// The oldest files, as many as make room for another one.
    fn files_to_remove(&self) -> io::Result<Vec<Removed>> {
        let current = self.current.as_ref().map_or(0, |current| current.bytes);
        let mut bytes = self.older.iter().map(|(_, bytes)| bytes).sum::<u64>() + current;
        let mut removed = Vec::new();
        for (name, size) in &self.older {
            if bytes + self.bytes_max / FILES_MIN <= self.bytes_max {
                break;
            }
            removed.push(Removed { file: name.clone(), last_hash: last_hash(&self.folder.join(name))?.to_hex() });
            bytes -= size;
        }
        Ok(removed)
    }

    /// Removes files of which the log says so by now. One that cannot be removed is tried again with the next.
    fn remove(&mut self, removed: &[Removed]) {
        for Removed { file, .. } in removed {
            if let Err(error) = fs::remove_file(self.folder.join(file)) {
                log::warn!(file; "cannot remove an old file of the audit log: {error}");
                return;
            }
            self.older.pop_front();
        }
    }
}

impl Current {
    fn write(&mut self, lines: &[u8]) -> Result<(), StoreFault> {
        if let Err(error) = self.file.write_all(lines) {
            // Behind half a line nothing could be appended. Where it cannot be cut off, the next start does it.
            self.file.set_len(self.bytes).map_err(unknown)?;
            return Err(before_fsync(error));
        }
        self.file.sync_all().map_err(unknown)?;
        self.bytes += size(lines);
        Ok(())
    }
}

/// The names of the files in a folder, from the oldest.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string()
            && name.strip_suffix(SUFFIX).is_some_and(is_number)
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Reads one line with its line feed, if it has one; empty at the end. A line that is too long is cut: it is none of ours.
pub(super) fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    file.take(LINE_BYTES_MAX).read_until(b'\n', line)
}

fn is_number(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn file_name(first_seq: u64) -> String {
    format!("{first_seq:0DIGITS$}{SUFFIX}")
}

/// The number of the first line of a file.
fn first_seq(name: &str) -> u64 {
    name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

/// Finds the end of the chain in the last files, and changes none.
fn last_line(folder: &Path, files: &VecDeque<(String, u64)>) -> io::Result<(End, Found)> {
    let Some((name, _)) = files.back() else { return Ok((End::default(), Found::Whole)) };
    // What is in memory is one file: a sixteenth of the maximum.
    let bytes = fs::read(folder.join(name))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let recent = whole.saturating_sub(CUT_BYTES_MAX);
    let zeros = bytes[recent..whole].iter().position(|byte| *byte == 0).map(|at| recent + at);
    let whole = zeros.map_or(whole, |at| bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let cut = size(&bytes[whole..]);
    let found = if cut == 0 { Found::Whole } else { Found::Cut { file: name.clone(), bytes: cut } };
    let Some(line) = bytes[..whole].strip_suffix(b"\n") else {
        // An empty file: the line before is the last of the file before.
        let previous = files.iter().rev().nth(1).map(|(name, _)| last_hash(&folder.join(name))).transpose()?;
        return Ok((End { seq: first_seq(name) - 1, hash: previous.unwrap_or_default() }, found));
    };
    let lines = || line.split(|byte| *byte == b'\n');
    let start = End { seq: first_seq(name) - 1, hash: Hash::default() };
    let end = lines().try_fold(start, |end, line| link(end, line).ok_or(end));
    Ok(match end {
        Ok(end) => (end, found),
        Err(end) => {
            let bytes = size(line);
            let last = lines().next_back().unwrap_or_default();
            let count = u64::try_from(lines().count()).unwrap_or(u64::MAX);
            // The next line follows whatever is there, so that the break is found where it is.
            let end = End { seq: end.seq.max(first_seq(name) - 1 + count), hash: Hash::of(last) };
            (end, Found::Damaged { file: name.clone(), bytes })
        }
    })
}

/// Follows the lines of one file; the first one names a line of another file, which is not looked at.
fn link(end: End, line: &[u8]) -> Option<End> {
    if end.hash == Hash::default() {
        let place: super::line::Place = serde_json::from_slice(line).ok()?;
        return (place.seq == end.seq + 1).then(|| End { seq: place.seq, hash: Hash::of(line) });
    }
    end.follow(line).ok()
}

/// The hash of the last line of a file.
fn last_hash(path: &Path) -> io::Result<Hash> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut line, mut hash) = (Vec::new(), Hash::default());
    while read_line(&mut file, &mut line)? > 0 {
        hash = Hash::of(line.strip_suffix(b"\n").unwrap_or(&line));
    }
    Ok(hash)
}

fn encode(end: End, events: &[Timed]) -> Result<(Vec<u8>, End), StoreFault> {
    let mut lines = Vec::new();
    let end = events.iter().try_fold(end, |end, (time, event)| end.append(*time, event, &mut lines));
    end.map(|end| (lines, end)).map_err(|error| StoreFault::failed("write a line of the audit log", error))
}

/// Opens a new file, or one that is empty because a crash came right after it was made.
fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

fn before_fsync(error: io::Error) -> StoreFault {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        StoreFault::StorageFull(Cause::new(error))
    } else {
        StoreFault::failed("write the audit log", error)
    }
}

fn unknown(error: io::Error) -> StoreFault {
    StoreFault::OutcomeUnknown(Cause::new(error))
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A mounted folder may belong to another account, which then decides who may read it.
fn restrict_access(path: &Path, mode: u32) {
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(mode)) {
        log::warn!(path:% = path.display(); "cannot restrict access to this path to our own account: {error}");
    }
}
