//! The format of `users.log`: one line for each batch of changes. Opens no file.
//!
//! A line is the CRC-32 of the rest in 8 hexadecimal digits, a space, a JSON object, and a line feed. The object has the
//! number of the batch (`seq`, consecutive), the next id, and whole records of users and sessions: a change says what a
//! user is after it, not what is different, so that changes that are in `users.json` already may be applied again. A whole
//! batch is one line, so that a new password and the ends of the sessions that it ends are there or not together.
//!
//! The tricky part is telling a write that was cut short from damage. A batch is one line, written once and acknowledged
//! after its fsync, so that only the last line can be incomplete: it has no line feed, or a block of it was never written
//! and reads as zeros, which JSON does not contain. Such a batch was never acknowledged and is dropped. Every other
//! mistake is damage: something that was acknowledged cannot be read, and nothing is guessed.

use std::sync::Arc;

use chassis::identity::UserId;
use serde::{Deserialize, Serialize};

use super::{
    record::{Parsed, Record},
    session_record::{EndRecord, SessionRecord, StoredEnd, StoredSession},
};
use crate::domain::{EndedSession, Session, User};

/// The digits of the checksum and the space behind them.
const PREFIX_BYTES: usize = 9;

/// What a record is after a change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A whole record, or nothing once the user is deleted.
    User {
        id: UserId,
        after: Option<Arc<User>>,
    },
    /// A session as it is after it was opened or refreshed.
    Session(Arc<Session>),
    SessionEnded(EndedSession),
}

/// What a log has, and how much of it is whole.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decoded {
    /// The changes of all batches, in their order.
    pub(super) changes: Vec<Change>,
    /// The number of the last batch.
    pub(super) seq: Option<u64>,
    /// The highest next id of all batches.
    pub(super) next_id: i64,
    /// The bytes of all whole lines. What follows was cut short by a crash and never acknowledged.
    pub(super) whole_bytes: usize,
}

impl Decoded {
    /// Adds what follows.
    fn add(&mut self, next: Self) {
        self.changes.extend(next.changes);
        self.seq = next.seq.or(self.seq);
        self.next_id = self.next_id.max(next.next_id);
        self.whole_bytes += next.whole_bytes;
    }
}

/// A line that cannot be read although it was written completely.
#[derive(Debug, PartialEq)]
pub(super) struct Damage {
    /// Where the line begins.
    pub(super) offset: usize,
    pub(super) what: String,
}

#[derive(Serialize)]
struct BatchOut<'a> {
    seq: u64,
    next_id: i64,
    saved: Vec<Record<'a>>,
    deleted: Vec<UserId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sessions: Vec<SessionRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ended: Vec<EndRecord>,
}

#[derive(Deserialize)]
struct BatchIn {
    seq: u64,
    next_id: i64,
    saved: Parsed,
    deleted: Vec<UserId>,
    #[serde(default)]
    sessions: Vec<StoredSession>,
    #[serde(default)]
    ended: Vec<StoredEnd>,
}

/// The line of a batch.
///
/// # Errors
/// A record cannot be written as JSON.
pub(super) fn encode(seq: u64, next_id: i64, changes: &[Change]) -> serde_json::Result<Vec<u8>> {
    // A deletion is the last change of its user, and an end that of its session, since ids are never reused: the order
    // between the lists is free.
    let mut batch =
        BatchOut { seq, next_id, saved: Vec::new(), deleted: Vec::new(), sessions: Vec::new(), ended: Vec::new() };
    for change in changes {
        match change {
            Change::User { after: Some(user), .. } => batch.saved.push(Record::new(user)),
            Change::User { id, after: None } => batch.deleted.push(*id),
            Change::Session(session) => batch.sessions.push(SessionRecord::new(session)),
            Change::SessionEnded(ended) => batch.ended.push(EndRecord::new(ended)),
        }
    }
    let mut line = vec![b' '; PREFIX_BYTES];
    serde_json::to_writer(&mut line, &batch)?;
    let checksum = checksum(&line[PREFIX_BYTES..]);
    line[..PREFIX_BYTES - 1].copy_from_slice(checksum.as_bytes());
    line.push(b'\n');
    Ok(line)
}

/// Reads the batches of a log that begins after the batch `seq`, if that is known. Of the last log of a store, the end
/// may have been cut short.
///
/// # Errors
/// Where the first damage is, and what it is.
pub(super) fn decode(bytes: &[u8], seq: Option<u64>, is_last: bool) -> Result<Decoded, Damage> {
    let mut decoded = Decoded { seq, ..Decoded::default() };
    while decoded.whole_bytes < bytes.len() {
        let offset = decoded.whole_bytes;
        let rest = &bytes[offset..];
        let length = rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let line = &rest[..length.unwrap_or(rest.len())];
        let is_end = line.len() == rest.len();
        if is_last && is_end && (length.is_none() || line.contains(&0)) {
            break;
        }
        let batch = read(line, decoded.seq).map_err(|what| Damage { offset, what })?;
        decoded.seq = Some(batch.seq);
        decoded.next_id = decoded.next_id.max(batch.next_id);
        let saved = batch.saved.users.into_iter().map(|user| Change::User { id: user.id, after: Some(Arc::new(user)) });
        decoded.changes.extend(saved);
        decoded.changes.extend(batch.deleted.into_iter().map(|id| Change::User { id, after: None }));
        decoded.changes.extend(batch.sessions.into_iter().map(|StoredSession(read)| Change::Session(Arc::new(read))));
        decoded.changes.extend(batch.ended.into_iter().map(|StoredEnd(ended)| Change::SessionEnded(ended)));
        decoded.whole_bytes += line.len();
    }
    Ok(decoded)
}

/// Reads the batches of a log that can be read, whatever is damaged between them, and where it is.
pub(super) fn salvage(bytes: &[u8], seq: Option<u64>, is_last: bool) -> (Decoded, Vec<Damage>) {
    let (mut kept, mut damaged) = (Decoded { seq, ..Decoded::default() }, Vec::new());
    let (mut start, mut expected) = (0, seq);
    loop {
        let rest = &bytes[start..];
        let damage = match decode(rest, expected, is_last) {
            Ok(decoded) => {
                kept.add(decoded);
                return (kept, damaged);
            }
            Err(damage) => damage,
        };
        // What is before the damage is whole, as it was found to be just now.
        decode(&rest[..damage.offset], expected, false).into_iter().for_each(|before| kept.add(before));
        let length = rest[damage.offset..].iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let end = length.map_or(rest.len(), |length| damage.offset + length);
        // If only its number is wrong, batches before it are missing. One that is older than what was read would undo it.
        let line = decode(&rest[damage.offset..end], None, false);
        let last = kept.seq;
        line.into_iter().filter(|line| line.seq > last).for_each(|line| kept.add(line));
        damaged.push(Damage { offset: start + damage.offset, what: damage.what });
        (start, expected) = (start + end, None);
    }
}

fn read(line: &[u8], previous: Option<u64>) -> Result<BatchIn, String> {
    let (prefix, json) = line.split_at_checked(PREFIX_BYTES).ok_or("the line is too short")?;
    let json = json.strip_suffix(b"\n").ok_or("the line has no end")?;
    if prefix != format!("{} ", checksum(json)).as_bytes() {
        return Err("the checksum is wrong".to_owned());
    }
    let batch: BatchIn = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if let Some(mistake) = batch.saved.mistakes.first() {
        return Err(mistake.clone());
    }
    match previous {
        Some(previous) if previous.checked_add(1) != Some(batch.seq) => {
            Err(format!("batch {} follows batch {previous}", batch.seq))
        }
        _ => Ok(batch),
    }
}

fn checksum(json: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(json))
}

#[cfg(test)]
impl Change {
    /// A user with this name.
    pub(super) fn saved(id: i64, username: &str) -> Self {
        let new = crate::domain::NewUser {
            username: crate::domain::UserName::parse(username).unwrap(),
            email: None,
            full_name: None,
            user_type: crate::domain::UserType::Default,
            hashed_password: "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap(),
            created_by: None,
        };
        let created = chassis::timestamp::Timestamp::from_unix_micros(0).unwrap();
        Self::User { id: UserId(id), after: Some(Arc::new(new.into_user(UserId(id), created))) }
    }

    /// A session of user 2.
    pub(super) fn opened(n: u8) -> Self {
        Self::Session(super::sessions::tests::session(n, 2))
    }

    /// That this session is gone.
    pub(super) fn ended(n: u8) -> Self {
        let id = super::sessions::tests::session(n, 2).id;
        let at = chassis::timestamp::Timestamp::from_unix_micros(i64::from(n)).unwrap();
        Self::SessionEnded(EndedSession { id, at })
    }

    /// That a user is gone.
    pub(super) const fn deleted(id: i64) -> Self {
        Self::User { id: UserId(id), after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> [Vec<Change>; 3] {
        [
            vec![Change::saved(1, "ann"), Change::saved(2, "zo\u{eb}")],
            vec![Change::deleted(2), Change::opened(1)],
            vec![Change::saved(3, "cid"), Change::deleted(1), Change::opened(2), Change::ended(1)],
        ]
    }

    /// The lines of the three batches, numbered from 7.
    fn lines() -> Vec<Vec<u8>> {
        (7..).zip(batches()).map(|(seq, changes)| encode(seq, 4, &changes).unwrap()).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = lines().concat();
        let decoded = decode(&bytes, Some(6), false).unwrap();
        assert_eq!(decoded.changes, batches().concat());
        assert_eq!((decoded.seq, decoded.next_id, decoded.whole_bytes), (Some(9), 4, bytes.len()));
        assert_eq!(decode(&bytes, None, false).unwrap(), decoded);
        assert_eq!(decode(&[], Some(6), true).unwrap().seq, Some(6));
    }

    #[test]
    fn of_every_prefix_the_whole_batches_are_read_and_the_rest_is_dropped_only_at_the_end_of_the_last_log() {
        let (lines, bytes) = (lines(), lines().concat());
        for length in 0..=bytes.len() {
            let whole: Vec<&Vec<u8>> = lines
                .iter()
                .scan(0, |end, line| {
                    *end += line.len();
                    (*end <= length).then_some(line)
                })
                .collect();
            let whole_bytes: usize = whole.iter().map(|line| line.len()).sum();
            let decoded = decode(&bytes[..length], None, true).unwrap();
            assert_eq!(decoded.whole_bytes, whole_bytes, "{length}");
            assert_eq!(decoded.changes, batches()[..whole.len()].concat(), "{length}");
            assert_eq!(decode(&bytes[..length], None, false).is_ok(), whole_bytes == length, "{length}");
        }
    }

    #[test]
    fn a_changed_byte_is_damage_wherever_it_is() {
        let (lines, bytes) = (lines(), lines().concat());
        let starts = [0, lines[0].len(), lines[0].len() + lines[1].len()];
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let start = *starts.iter().rfind(|start| **start <= at).unwrap();
            match decode(&changed, None, true) {
                Ok(decoded) => {
                    // Without its line feed the last line is incomplete.
                    assert_eq!((at, decoded.whole_bytes), (bytes.len() - 1, starts[2]));
                }
                Err(damage) => assert_eq!(damage.offset, start, "{at}"),
            }
        }
    }

    #[test]
    fn a_block_that_was_never_written_ends_the_last_log_and_is_damage_before_its_end() {
        let (lines, mut bytes) = (lines(), lines().concat());
        let last = bytes.len() - lines[2].len();
        bytes[last + 12..last + 30].fill(0);
        assert_eq!(decode(&bytes, None, true).unwrap().whole_bytes, last);
        assert_eq!(decode(&bytes, None, false).unwrap_err().offset, last);
        bytes.extend(&lines[2]);
        assert_eq!(decode(&bytes, None, true).unwrap_err().offset, last, "something follows");
    }

    #[test]
    fn a_missing_or_repeated_batch_is_damage() {
        let lines = lines();
        for (bytes, seq, what) in [
            ([&lines[0][..], &lines[2]].concat(), None, "batch 9 follows batch 7"),
            ([&lines[0][..], &lines[0]].concat(), None, "batch 7 follows batch 7"),
            (lines[1].clone(), Some(6), "batch 8 follows batch 6"),
        ] {
            assert_eq!(decode(&bytes, seq, true).unwrap_err().what, what);
        }
    }
}
