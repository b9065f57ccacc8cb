//! Users to and from a file of the people who run the service: all of them out, as of one moment, or new ones in, all or
//! none.
//!
//! An import needs the folder for itself: it becomes durable when `users.json` is replaced by one with the old users and the
//! new ones, so that a crash leaves either file. The tricky part is the ids. They are never given twice, also not those of
//! users who were deleted, whose tokens and orders there may still be. So an id in the file must be one that was never used,
//! and the ids of a file ascend, as in every file that was exported; a record without one gets the next.

use std::{io::Write, path::Path};

use chassis::{config::StartError, identity::UserId};
use prometheus_client::registry::Registry;
use serde::{
    Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::{Value, json};

use super::{
    contents::Loaded,
    files::Files,
    record::{self, Reader},
    rehearsal,
};
use crate::{
    domain::User,
    store::{error::OpenError, metrics::StoreMetrics},
};

/// Maximum number of mistakes that are listed.
const MISTAKES_SHOWN_MAX: usize = 100;

/// What an import has done, or would do.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) users: usize,
    /// The lowest and the highest id of the new users, if there are any.
    pub(crate) ids: Option<(UserId, UserId)>,
}

/// Writes all users as an array, and returns how many there are.
///
/// # Errors
/// The files cannot be read, or `out` cannot be written.
pub(crate) fn export(data: &Path, with_hashes: bool, out: &mut dyn Write) -> Result<usize, StartError> {
    let loaded = rehearsal::snapshot(data)?;
    let write = if with_hashes { record::write } else { record::write_without_hashes };
    write(loaded.tables.users.users(), out)
        .map_err(|error| StartError::failed(format!("cannot write the users: {error}")))?;
    Ok(loaded.count())
}

/// Adds the users of a text, an array or JSON lines, to those in the folder, which nobody else may use.
///
/// # Errors
/// The folder is in use, or everything that is wrong with the users. Nothing was changed.
pub(crate) fn import(data: &Path, text: &[u8]) -> Result<Imported, OpenError> {
    let (files, mut loaded) = Files::open(data, &StoreMetrics::register(&mut Registry::default()))?;
    let users = check(&mut loaded.clone(), text)?;
    let imported = Imported::new(&users);
    files.install(&mut loaded, users)?;
    Ok(imported)
}

/// Checks what [`import`] would do at this moment, also while a service uses the folder.
///
/// # Errors
/// Everything that is wrong with the users.
pub(crate) fn rehearse_import(data: &Path, text: &[u8]) -> Result<Imported, StartError> {
    check(&mut rehearsal::snapshot(data)?, text).map(|users| Imported::new(&users))
}

impl Imported {
    fn new(users: &[User]) -> Self {
        Self { users: users.len(), ids: users.first().zip(users.last()).map(|(first, last)| (first.id, last.id)) }
    }
}

/// Reads the users, and checks them against those that are there and against each other.
fn check(loaded: &mut Loaded, text: &[u8]) -> Result<Vec<User>, StartError> {
    let mut reading = Reading { next_id: loaded.next_id().0, users: Vec::new(), mistakes: Vec::new() };
    if text.trim_ascii_start().starts_with(b"[") {
        reading.array(text);
    } else {
        reading.lines(text);
    }
    let Reading { users, mut mistakes, .. } = reading;
    let mut checked = Vec::with_capacity(users.len());
    for (place, user) in users {
        if let Err(refusal) = loaded.tables.users.check_unique(Some(user.id), &user.username, user.email.as_ref()) {
            mistakes.push(format!("{place}: {refusal}"));
            continue;
        }
        loaded.tables.users.put(std::sync::Arc::new(user.clone()));
        checked.push(user);
    }
    if mistakes.is_empty() { Ok(checked) } else { Err(refused(&mistakes)) }
}

fn refused(mistakes: &[String]) -> StartError {
    let shown = &mistakes[..mistakes.len().min(MISTAKES_SHOWN_MAX)];
    let more = match mistakes.len() - shown.len() {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    StartError::failed(format!("nothing was imported:\n  {}{more}", shown.join("\n  ")))
}

/// The users that could be read, each with its place in the file, and what is wrong with the others.
struct Reading {
    next_id: i64,
    users: Vec<(String, User)>,
    mistakes: Vec<String>,
}

impl Reading {
    fn array(&mut self, text: &[u8]) {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let read = deserializer.deserialize_seq(&mut *self).and_then(|()| deserializer.end());
        if let Err(error) = read {
            self.mistakes.push(format!("the file {}", record::broken(text, &error)));
        }
    }

    fn lines(&mut self, text: &[u8]) {
        let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
        for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice(line) {
                Ok(record) => self.record(format!("line {number}"), record),
                Err(error) => self.mistakes.push(format!("line {number}: {}", record::broken(line, &error))),
            }
        }
    }

    fn record(&mut self, place: String, mut record: Value) {
        if let Value::Object(fields) = &mut record {
            let id = fields.entry("id").or_insert(Value::Null);
            if id.is_null() {
                *id = json!(self.next_id);
            }
        }
        let mut reader = Reader { place, mistakes: &mut self.mistakes };
        let user = reader.user(record);
        let place = reader.place;
        let Some(user) = user else { return };
        if user.id.0 < self.next_id {
            let next = self.next_id;
            self.mistakes.push(format!("{place}: id was used before; ids ascend, here from {next}, or are left out"));
            return;
        }
        self.next_id = user.id.0 + 1;
        self.users.push((place, user));
    }
}

impl<'de> Visitor<'de> for &mut Reading {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut at = 0_usize;
        while let Some(record) = elements.next_element()? {
            at += 1;
            self.record(format!("user {at} of the array"), record);
        }
        Ok(())
    }
}
