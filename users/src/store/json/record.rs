//! The format of `users.json`, the same as in the Python system, and of `users.meta.json`. Opens no file.

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, Write},
    str::FromStr,
    sync::Arc,
};

use chassis::{fields::BYTE_ORDER_MARK, identity::UserId, timestamp::Timestamp};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::table::Users;
use crate::domain::{Email, FullName, ID_MAX, Lock, Remark, UnknownFields, User, UserName};

/// The format of `users.meta.json`: 1 was that of a folder without a log, 2 without sessions. A program that knows only
/// these refuses the folder instead of ignoring the log, or the end of a session.
const META_FORMAT: u32 = 3;

/// The highest next id: after it, every id has been used.
const NEXT_ID_MAX: i64 = ID_MAX + 1;

/// The content of `users.meta.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    format: u32,
    pub(super) next_id: i64,
}

impl Meta {
    pub(super) const fn new(next_id: i64) -> Self {
        Self { format: META_FORMAT, next_id }
    }

    /// Reads the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let meta: Self = serde_json::from_slice(bytes).map_err(|error| broken(bytes, &error))?;
        if !(1..=META_FORMAT).contains(&meta.format) {
            return Err(format!("has the format {}, which this version does not know", meta.format));
        }
        if !(0..=NEXT_ID_MAX).contains(&meta.next_id) {
            return Err(format!("has the next_id {}; it must be a whole number from 0 to {NEXT_ID_MAX}", meta.next_id));
        }
        Ok(meta)
    }
}

/// The users that could be read, and what is wrong with the others: every wrong field of every record, or the place of
/// the syntax error.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parsed {
    pub(super) users: Vec<User>,
    pub(super) mistakes: Vec<String>,
}

/// Reads users in the format of the file, or returns every mistake in it.
///
/// # Errors
/// Every mistake.
pub(crate) fn read_users(json: &str) -> Result<Vec<User>, Vec<String>> {
    let parsed = parse(json.as_bytes());
    if parsed.mistakes.is_empty() { Ok(parsed.users) } else { Err(parsed.mistakes) }
}

/// Reads the array of users.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    try_parse(bytes).unwrap_or_else(|error| Parsed { users: Vec::new(), mistakes: vec![broken(bytes, &error)] })
}

/// Reads of a file that may be no array any more those users that can be read.
pub(super) fn salvage(bytes: &[u8]) -> Parsed {
    try_parse(bytes).unwrap_or_else(|_| salvage_lines(bytes))
}

fn try_parse(bytes: &[u8]) -> serde_json::Result<Parsed> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Parsed::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(parsed)
}

/// Reads each user that begins a line, as this program and the Python system write them, and reports the other lines.
fn salvage_lines(bytes: &[u8]) -> Parsed {
    let (mut parsed, mut unread) = (Parsed::default(), Vec::new());
    let (mut offset, mut line) = (0, 1);
    while offset < bytes.len() {
        let end = bytes[offset..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| offset + end);
        let is_separator = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'[' | b']' | b',');
        let start = bytes[offset..end].iter().position(|byte| !is_separator(byte)).map(|start| offset + start);
        let mut values =
            serde_json::Deserializer::from_slice(&bytes[start.unwrap_or(end)..]).into_iter::<Map<String, Value>>();
        match (start, values.next()) {
            (None, _) => {}
            (Some(start), Some(Ok(fields))) => {
                let mut reader = Reader { place: format!("line {line}"), mistakes: &mut parsed.mistakes };
                parsed.users.extend(reader.user(Value::Object(fields)));
                let read = start + values.byte_offset();
                line += bytes[offset..read].iter().filter(|byte| **byte == b'\n').count();
                // What follows on the line: a comma.
                offset = read;
                continue;
            }
            (Some(_), Some(Err(_)) | None) => unread.push(line),
        }
        (offset, line) = (end + 1, line + 1);
    }
    parsed.mistakes.extend(unread.chunk_by(|line, next| line + 1 == *next).map(|lines| match lines {
        [line] => format!("line {line} cannot be read"),
        lines => format!("lines {} to {} cannot be read", lines[0], lines[lines.len() - 1]),
    }));
    parsed
}

/// What is wrong with a file that is not JSON, or not the JSON that it should be.
pub(super) fn broken(bytes: &[u8], error: &serde_json::Error) -> String {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        "is broken: it begins with a byte order mark (BOM); save it as UTF-8 without one".to_owned()
    } else {
        format!("is broken: {error}")
    }
}

/// Writes the array of users, one on each line.
pub(super) fn write(users: &Users, out: &mut dyn Write) -> io::Result<()> {
    write_as(users, true, out)
}

/// Writes the array of users without the hashes of their passwords.
pub(super) fn write_without_hashes(users: &Users, out: &mut dyn Write) -> io::Result<()> {
    write_as(users, false, out)
}

fn write_as(users: &Users, with_hashes: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "[\n";
    for user in users.values() {
        out.write_all(separator.as_bytes())?;
        let record = Record::new(user);
        let hashed_password = record.hashed_password.filter(|_| with_hashes);
        serde_json::to_writer(&mut *out, &Record { hashed_password, ..record })?;
        separator = ",\n";
    }
    out.write_all(if users.is_empty() { b"[]\n" } else { b"\n]\n" })
}

/// Approximate size of the record of this user in the file.
pub(super) fn size_bytes(user: &Arc<User>) -> usize {
    // The names of the fields, the hash and the times take about 300 bytes.
    300 + user.username.as_str().len()
        + user.email.as_ref().map_or(0, |email| email.as_str().len())
        + user.full_name.as_ref().map_or(0, |name| name.as_str().len())
        + user.locked.as_ref().and_then(|lock| lock.reason.as_ref()).map_or(0, |reason| reason.as_str().len())
}

/// A user as `users.json` and the log have it.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    id: UserId,
    username: &'a str,
    email: Option<&'a str>,
    full_name: Option<&'a str>,
    user_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashed_password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<LockRecord<'a>>,
    created_by: Option<UserId>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    version: u64,
    #[serde(flatten)]
    unknown: &'a Map<String, Value>,
}

/// Why a user may not sign in, as `users.json` and the log have it.
#[derive(Serialize, Deserialize)]
struct LockRecord<'a> {
    at: Timestamp,
    by: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
}

impl<'a> LockRecord<'a> {
    fn new(lock: &'a Lock) -> Self {
        let reason = lock.reason.as_ref().map(|reason| reason.as_str().into());
        Self { at: lock.at, by: lock.by.as_str().into(), reason }
    }

    fn parse(self) -> Result<Lock, String> {
        let reason = self.reason.map(|reason| Remark::parse(&reason)).transpose()?;
        Ok(Lock { at: self.at, by: Remark::parse(&self.by)?, reason })
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(user: &'a User) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str(),
            email: user.email.as_ref().map(Email::as_str),
            full_name: user.full_name.as_ref().map(FullName::as_str),
            user_type: user.user_type.as_str(),
            hashed_password: Some(user.hashed_password.expose()),
            locked: user.locked.as_deref().map(LockRecord::new),
            created_by: user.created_by,
            created_at: user.created_at,
            updated_at: user.updated_at,
            version: user.version,
            unknown: &user.unknown.0,
        }
    }
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Records)
    }
}

/// Turns each element into a user as it is read, so that a large file is never in memory as JSON values.
struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = Parsed;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut parsed = Parsed::default();
        let mut at = 0_usize;
        while let Some(element) = elements.next_element::<Value>()? {
            at += 1;
            let mut reader = Reader { place: format!("user {at} of the array"), mistakes: &mut parsed.mistakes };
            parsed.users.extend(reader.user(element));
        }
        Ok(parsed)
    }
}

/// Reads one record and collects all its mistakes.
pub(super) struct Reader<'a> {
    /// Where the record is, for the mistakes.
    pub(super) place: String,
    pub(super) mistakes: &'a mut Vec<String>,
}

impl Reader<'_> {
    pub(super) fn user(&mut self, element: Value) -> Option<User> {
        let Value::Object(mut fields) = element else {
            self.mistakes.push(format!("{}: is no object", self.place));
            return None;
        };
        let id = self.id(fields.remove("id").as_ref());
        if let Some(id) = id {
            self.place = format!("{} (id {id})", self.place);
        }
        // Every field is read before the first is required, so that all mistakes are found.
        let username = self.required(&mut fields, "username", UserName::parse);
        let email = self.text(&mut fields, "email").filter(|text| !text.trim().is_empty());
        let email = email.map(|text| self.parsed("email", Email::parse(&text)));
        let full_name = self.text(&mut fields, "full_name");
        let full_name = full_name.map(|text| self.parsed("full_name", FullName::parse(&text)));
        let user_type = self.required(&mut fields, "user_type", FromStr::from_str);
        let hashed_password = self.required(&mut fields, "hashed_password", FromStr::from_str);
        let locked = self.typed::<LockRecord<'_>>(&mut fields, "locked");
        let locked = locked.map(|record| self.parsed("locked", record.parse()));
        let created_by = self.typed::<UserId>(&mut fields, "created_by");
        let created_at = self.typed(&mut fields, "created_at");
        let updated_at = self.typed(&mut fields, "updated_at");
        let version = self.typed(&mut fields, "version");
        Some(User {
            id: id?,
            username: username?,
            email: email.flatten(),
            full_name: full_name.flatten(),
            user_type: user_type?,
            hashed_password: hashed_password?,
            locked: locked.flatten().map(Box::new),
            created_by,
            created_at,
            updated_at,
            version: version.unwrap_or(1),
            unknown: UnknownFields(fields),
        })
    }

    fn id(&mut self, value: Option<&Value>) -> Option<UserId> {
        let id = value.and_then(Value::as_i64).filter(|id| (0..=ID_MAX).contains(id));
        let expected = || format!("must be a whole number from 0 to {ID_MAX}");
        self.parsed("id", id.map(UserId).ok_or_else(expected))
    }

    fn required<T, E: Display>(
        &mut self,
        fields: &mut Map<String, Value>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match fields.remove(name) {
            Some(Value::String(text)) => self.parsed(name, parse(&text)),
            Some(_) => self.parsed(name, Err("must be a text")),
            None => self.parsed(name, Err("is missing")),
        }
    }

    fn text(&mut self, fields: &mut Map<String, Value>, name: &str) -> Option<String> {
        self.typed(fields, name)
    }

    /// A field that may be absent or null.
    fn typed<T: for<'de> Deserialize<'de>>(&mut self, fields: &mut Map<String, Value>, name: &str) -> Option<T> {
        let value = fields.remove(name).filter(|value| !value.is_null())?;
        self.parsed(name, serde_json::from_value(value))
    }

    fn parsed<T, E: Display>(&mut self, name: &str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.mistakes.push(format!("{}: {name} {error}", self.place))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::json::table::Table;

    /// A file as the Python system wrote it.
    const PYTHON: &str = r#"[
    {
        "id": 1,
        "username": "admin",
        "email": "admin@example.com",
        "full_name": "Ada Admin",
        "user_type": "admin",
        "hashed_password": "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2",
        "created_by": 1
    },
    {
        "id": 4,
        "username": "bob",
        "email": null,
        "user_type": "default",
        "hashed_password": "$2b$12$o5FUxT.lT6PZXU8KHPz4tug1yGI.gXuyZNT8VWbKBNaAEP10/yI.W",
        "created_by": null,
        "nickname": "bobby"
    }
]
"#;

    fn written(users: &Users) -> String {
        let mut bytes = Vec::new();
        write(users, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_file_of_the_python_system_is_read_and_written_back_with_its_unknown_fields() {
        let Parsed { users, mistakes } = parse(PYTHON.as_bytes());
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!((users[0].version, users[0].created_at, users[1].email.as_ref()), (1, None, None));
        let table = Table::from_users(users.clone(), &mut Vec::new());
        let text = written(table.users());
        assert!(text.contains("\"nickname\":\"bobby\""), "{text}");
        assert_eq!(parse(text.as_bytes()).users, users);
        assert_eq!(written(&Users::new()), "[]\n");
    }

    #[test]
    fn broken_json_is_reported_with_line_and_column() {
        for (text, place) in [
            (&PYTHON[..200], "line 8 column"),
            ("", "line 1 column 0"),
            ("{}", "expected an array of users"),
            ("[]]", "line 1 column 3"),
        ] {
            let mistakes = parse(text.as_bytes()).mistakes;
            assert!(mistakes[0].contains(place), "{mistakes:?}");
        }
    }

    #[test]
    fn every_wrong_field_of_every_record_is_listed() {
        let text = r#"[1, {"id": 5, "username": " ", "user_type": "root", "hashed_password": "plain"}, {"id": "7"}]"#;
        let mistakes = parse(text.as_bytes()).mistakes;
        let expected = [
            "user 1 of the array: is no object",
            "user 2 of the array (id 5): username must not be empty",
            "user 2 of the array (id 5): user_type must be",
            "user 2 of the array (id 5): hashed_password is no bcrypt hash",
            "user 3 of the array: id must be a whole number",
            "user 3 of the array: username is missing",
            "user 3 of the array: user_type is missing",
            "user 3 of the array: hashed_password is missing",
        ];
        assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
        for (mistake, start) in mistakes.iter().zip(expected) {
            assert!(mistake.starts_with(start), "{mistake}");
        }
    }
}
