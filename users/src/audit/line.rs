//! The format of the log: one JSON object for each event, on a line of its own. Opens no file.
//!
//! `seq` counts the lines from 1 through all files, and `prev` is the SHA-256 of the line before, without its line feed, in
//! hexadecimal digits. So the chain can be checked with other programs, too.

use chassis::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::Event;

/// Maximum length of a line that is read. What is written is bounded far below: names and request ids are.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The SHA-256 of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    /// The hash of a line without its line feed.
    pub(super) fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    /// 64 hexadecimal digits.
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`to_hex`](Self::to_hex) writes.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digits = text
            .as_bytes()
            .chunks_exact(2)
            .map(|digits| std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        digits.collect::<Option<Vec<u8>>>()?.try_into().ok().map(Self)
    }
}

/// The place of a line in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) prev: String,
}

/// The end of a chain: what the next line is linked to. Before the first line, `seq` is 0 and the hash all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    time: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
    prev: String,
}

impl End {
    /// Appends the line of an event to `lines`, and returns the end of the chain with it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(super) fn append(self, time: Timestamp, event: &Event, lines: &mut Vec<u8>) -> serde_json::Result<Self> {
        let (seq, start) = (self.seq + 1, lines.len());
        serde_json::to_writer(&mut *lines, &Line { seq, time, event, prev: self.hash.to_hex() })?;
        let hash = Hash::of(&lines[start..]);
        lines.push(b'\n');
        Ok(Self { seq, hash })
    }

    /// The end of the chain with a line that was read, without its line feed.
    ///
    /// # Errors
    /// Says what breaks the chain.
    pub(super) fn follow(self, line: &[u8]) -> Result<Self, Break> {
        let place: Place = serde_json::from_slice(line).map_err(|_| Break::Unreadable)?;
        match (place.seq.cmp(&(self.seq + 1)), place.prev == self.hash.to_hex()) {
            (std::cmp::Ordering::Equal, true) => Ok(Self { seq: place.seq, hash: Hash::of(line) }),
            (std::cmp::Ordering::Equal, false) => Err(Break::PreviousChanged),
            (std::cmp::Ordering::Greater, false) => Err(Break::Missing { from: self.seq + 1, to: place.seq - 1 }),
            (std::cmp::Ordering::Less, false) => Err(Break::Inserted),
            (_, true) => Err(Break::Renumbered),
        }
    }
}

/// How a line does not follow the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// It is no line of this log.
    Unreadable,
    /// It follows by its number, but names another hash than the line before has.
    PreviousChanged,
    /// Lines are missing before it.
    Missing { from: u64, to: u64 },
    /// Its number has been used by a line before it.
    Inserted,
    /// It follows by its hash, but not by its number.
    Renumbered,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64) -> Vec<Vec<u8>> {
        let mut end = End::default();
        (0..count)
            .map(|events| {
                let mut line = Vec::new();
                let time = Timestamp::from_unix_micros(1_700_000_000_000_000).unwrap();
                end = end.append(time, &Event::events_lost(events), &mut line).unwrap();
                assert_eq!(line.pop(), Some(b'\n'));
                line
            })
            .collect()
    }

    fn follow<'a>(lines: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<End, (usize, Break)> {
        lines
            .into_iter()
            .enumerate()
            .try_fold(End::default(), |end, (index, line)| end.follow(line).map_err(|broken| (index, broken)))
    }

    #[test]
    fn a_line_has_its_number_its_time_and_the_hash_of_the_one_before() {
        let lines = lines(2);
        assert_eq!(
            String::from_utf8_lossy(&lines[0]),
            format!(
                r#"{{"seq":1,"time":"2023-11-14T22:13:20.000000Z","event":"audit_events_lost","outcome":"failed","details":{{"events":0}},"prev":"{}"}}"#,
                "0".repeat(64)
            )
        );
        let second: serde_json::Value = serde_json::from_slice(&lines[1]).unwrap();
        assert_eq!(second["prev"], Hash::of(&lines[0]).to_hex());
    }

    #[test]
    fn lines_as_they_were_written_follow_one_another() {
        let lines = lines(5);
        assert_eq!(follow(&lines), Ok(End { seq: 5, hash: Hash::of(&lines[4]) }));
    }

    #[test]
    fn whatever_is_done_to_a_line_breaks_the_chain_there_or_at_the_next_line() {
        let lines = lines(5);
        for (index, line) in lines.iter().enumerate().take(4) {
            for at in 0..line.len() {
                let mut changed = lines.clone();
                changed[index][at] ^= 1;
                let (broken, _) = follow(&changed).unwrap_err();
                assert!(broken == index || broken == index + 1, "byte {at} of line {index}: {broken}");
            }
        }
    }

    #[test]
    fn a_break_says_what_was_done() {
        let lines = lines(5);
        let removed = [&lines[0], &lines[1], &lines[4]];
        assert_eq!(follow(removed), Err((2, Break::Missing { from: 3, to: 4 })));
        let first_removed = [&lines[1]];
        assert_eq!(follow(first_removed), Err((0, Break::Missing { from: 1, to: 1 })));
        let repeated = [&lines[0], &lines[1], &lines[1]];
        assert_eq!(follow(repeated), Err((2, Break::Inserted)));
        let swapped = [&lines[0], &lines[2], &lines[1]];
        assert_eq!(follow(swapped), Err((1, Break::Missing { from: 2, to: 2 })));
        let text = String::from_utf8(lines[1].clone()).unwrap();
        let changed = text.replace("\"events\":1", "\"events\":7").into_bytes();
        assert_eq!(follow([&lines[0], &changed, &lines[2]]), Err((2, Break::PreviousChanged)));
        let renumbered = text.replace("\"seq\":2", "\"seq\":9").into_bytes();
        assert_eq!(follow([&lines[0], &renumbered]), Err((1, Break::Renumbered)));
        assert_eq!(follow([&lines[0], &b"{}".to_vec()]), Err((1, Break::Unreadable)));
    }
}
