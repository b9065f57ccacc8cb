//! Checks the chain of a log from its first line to its last, also while a service writes it. Changes nothing.
//!
//! The chain cannot show that lines at its end were removed, or that all of it was written anew. That takes a hash which was
//! kept elsewhere: a log that is what it was then has a line with this hash.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    event::Removed,
    files::{names, read_line},
    line::{Break, End, Hash, LINE_BYTES_MAX, Place},
};

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Every line follows the one before it.
    Whole(Whole),
    /// The first place where the chain is broken.
    Broken { file: String, line: u64, what: String },
    /// The chain is whole, but no line has the expected hash.
    HashNotFound { expected: String, last_hash: String },
}

/// A chain without a break.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Whole {
    pub(crate) files: usize,
    pub(crate) lines: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_hash: String,
    /// Bytes of a line at the end that has no line feed: it is being written, or a crash interrupted it.
    pub(crate) unfinished_bytes: u64,
}

/// The part of a line that tells which file was removed.
#[derive(Deserialize)]
struct Removal {
    details: Removed,
}

/// What has been read so far.
#[derive(Default)]
struct Chain {
    whole: Whole,
    end: End,
    /// The first file.
    first: String,
    /// The line that `end` is about: its file and its number there.
    last: (String, u64),
    /// The hash before the first line, if that is not the first of all; the log has to say that what was before is removed.
    removed: Option<String>,
    expected: Option<String>,
    is_found: bool,
}

/// Checks the log in a folder. With `expected`, one of its lines must have this hash.
///
/// # Errors
/// The files cannot be read.
pub(crate) fn verify(folder: &Path, expected: Option<String>) -> io::Result<Verdict> {
    let mut chain = Chain { expected: expected.map(|hash| hash.to_lowercase()), ..Chain::default() };
    let mut names = names(folder)?;
    // A service may have removed old files since.
    names.retain(|name| folder.join(name).exists());
    for name in &names {
        let is_last = Some(name) == names.last();
        if let Some(broken) = chain.read_file(folder, name, is_last)? {
            return Ok(broken);
        }
    }
    Ok(chain.verdict())
}

impl Chain {
    fn read_file(&mut self, folder: &Path, name: &str, is_last: bool) -> io::Result<Option<Verdict>> {
        let mut file = BufReader::new(File::open(folder.join(name))?);
        let mut bytes = Vec::new();
        self.whole.files += 1;
        if self.whole.files == 1 {
            self.first = name.to_owned();
        }
        for number in 1.. {
            let length = u64::try_from(read_line(&mut file, &mut bytes)?).unwrap_or(u64::MAX);
            if length == 0 {
                break;
            }
            let Some(line) = bytes.strip_suffix(b"\n") else {
                if is_last && length < LINE_BYTES_MAX {
                    self.whole.unfinished_bytes = length;
                    break;
                }
                return Ok(Some(broken((name.to_owned(), number), "is not a whole line: it was cut or changed")));
            };
            if let Err(found) = self.follow(line) {
                return Ok(Some(self.explain(&found, (name.to_owned(), number))));
            }
            self.last = (name.to_owned(), number);
        }
        Ok(None)
    }

    fn follow(&mut self, line: &[u8]) -> Result<(), Break> {
        if self.whole.lines == 0 {
            self.begin(line);
        }
        self.end = self.end.follow(line)?;
        self.whole.lines += 1;
        self.is_found |= self.expected.as_ref().is_some_and(|hash| *hash == self.end.hash.to_hex());
        if self.removed.is_some()
            && let Ok(removal) = serde_json::from_slice::<Removal>(line)
        {
            self.removed.take_if(|hash| *hash == removal.details.last_hash);
        }
        Ok(())
    }

    /// Begins where the log does: the files before may have been removed because they were the oldest.
    fn begin(&mut self, line: &[u8]) {
        let Ok(Place { seq, prev }) = serde_json::from_slice(line) else { return };
        self.whole.first_seq = seq;
        if let Some(hash) = Hash::from_hex(&prev).filter(|_| seq > 1) {
            self.end = End { seq: seq - 1, hash };
            self.is_found = self.expected.as_ref() == Some(&prev);
            self.removed = Some(prev);
        }
    }

    /// The first broken line, and what that means.
    fn explain(&self, found: &Break, place: (String, u64)) -> Verdict {
        match found {
            Break::Unreadable => broken(place, "is not a line of an audit log: it was changed or inserted"),
            Break::Renumbered => broken(place, "has a number that does not follow: it was changed or inserted"),
            Break::Inserted => {
                broken(place, "has a number that was there before: it was inserted or moved, or the line before it was")
            }
            Break::Missing { from, to } => {
                broken(place, &format!("follows lines that are missing: those with seq {from} to {to} were removed"))
            }
            Break::PreviousChanged if self.last.1 == 0 => broken(place, "is the first of all, but names one before it"),
            Break::PreviousChanged => {
                let what = format!("was changed: it is not what line {} of {} followed", place.1, place.0);
                broken(self.last.clone(), &what)
            }
        }
    }

    fn verdict(mut self) -> Verdict {
        if self.removed.is_some() {
            let first = self.whole.first_seq;
            let what = format!("has seq {first}, and nothing in the log says that what was before it has been removed");
            return broken((self.first, 1), &what);
        }
        self.whole.last_seq = self.end.seq;
        self.whole.last_hash = self.end.hash.to_hex();
        match self.expected {
            Some(expected) if !self.is_found => Verdict::HashNotFound { expected, last_hash: self.whole.last_hash },
            Some(_) | None => Verdict::Whole(self.whole),
        }
    }
}

fn broken((file, line): (String, u64), what: &str) -> Verdict {
    Verdict::Broken { file, line, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use chassis::timestamp::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::audit::{event::Event, files::Files};

    /// 16 files of 1 KiB: four lines each.
    const BYTES_MAX: u64 = 16 * 1024;

    fn append(files: &mut Files, count: u64) {
        for _ in 0..count {
            files.append(&[(Timestamp::from(SystemTime::now()), Event::events_lost(0))]).unwrap();
        }
    }

    fn whole(folder: &Path) -> Whole {
        match verify(folder, None).unwrap() {
            Verdict::Whole(whole) => whole,
            other @ (Verdict::Broken { .. } | Verdict::HashNotFound { .. }) => panic!("{other:?}"),
        }
    }

    fn size(folder: &Path) -> u64 {
        names(folder).unwrap().iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum()
    }

    #[test]
    fn the_oldest_files_are_removed_and_the_chain_still_holds() {
        let folder = TempDir::new().unwrap();
        let (mut files, _) = Files::open(folder.path(), BYTES_MAX).unwrap();
        let mut size_max = 0;
        for round in 0..60 {
            append(&mut files, 3);
            size_max = size_max.max(size(folder.path()));
            let whole = whole(folder.path());
            assert!(whole.last_seq >= 3 * (round + 1), "{whole:?}");
        }
        assert!((BYTES_MAX - 2048..=BYTES_MAX).contains(&size_max), "{size_max}");
        let kept = whole(folder.path());
        assert!(kept.first_seq > 60 && kept.files >= 14, "{kept:?}");

        let before = verify(folder.path(), Some(kept.last_hash.clone())).unwrap();
        assert_eq!(before, Verdict::Whole(kept.clone()), "the hash is there");
        drop(files);
        let (mut files, _) = Files::open(folder.path(), BYTES_MAX).unwrap();
        append(&mut files, 1);
        assert!(whole(folder.path()).last_seq > kept.last_seq, "also after a start");
    }

    #[test]
    fn a_smaller_maximum_removes_files_at_the_next_new_one() {
        let folder = TempDir::new().unwrap();
        append(&mut Files::open(folder.path(), BYTES_MAX).unwrap().0, 60);
        append(&mut Files::open(folder.path(), BYTES_MAX / 2).unwrap().0, 10);
        assert!(size(folder.path()) <= BYTES_MAX / 2, "{}", size(folder.path()));
        whole(folder.path());
    }

    #[test]
    fn a_file_that_is_missing_is_found_whichever_it_is() {
        for missing in [0, 4, 8] {
            let folder = TempDir::new().unwrap();
            append(&mut Files::open(folder.path(), BYTES_MAX).unwrap().0, 50);
            let names = names(folder.path()).unwrap();
            fs::remove_file(folder.path().join(&names[missing])).unwrap();
            let next = &names[missing + 1];
            let verdict = verify(folder.path(), None).unwrap();
            assert!(
                matches!(&verdict, Verdict::Broken { file, line: 1, .. } if file == next),
                "{missing}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_crash_after_a_file_was_begun_leaves_a_log_that_goes_on() {
        let folder = TempDir::new().unwrap();
        append(&mut Files::open(folder.path(), BYTES_MAX).unwrap().0, 4);
        fs::write(folder.path().join(format!("{:020}.jsonl", 5)), "{\"seq\":5").unwrap();
        let (mut files, _) = Files::open(folder.path(), BYTES_MAX).unwrap();
        append(&mut files, 1);
        assert_eq!((whole(folder.path()).files, whole(folder.path()).last_seq), (2, 5));
    }
}
