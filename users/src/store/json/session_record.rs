//! The format of sessions, in `sessions.json` and in the log. Opens no file.
//!
//! Of a refresh token there are only hashes: whoever reads the file can sign in as nobody.

use std::{
    collections::HashMap,
    fmt::Display,
    io::{self, Write},
    net::IpAddr,
    str::FromStr,
    sync::Arc,
};

use chassis::{identity::UserId, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

use super::sessions::LiveSessions;
use crate::domain::{EndedSession, Method, Origin, Session, SessionId, Spent, UserAgent};

/// What `sessions.json` has.
#[derive(Default, Deserialize)]
pub(super) struct StoredSessions {
    sessions: Vec<StoredSession>,
    ended: Vec<StoredEnd>,
}

impl StoredSessions {
    /// Reads the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("is broken: {error}"))
    }

    /// The sessions by id, and when the ended ones ended.
    pub(super) fn into_maps(self) -> (LiveSessions, HashMap<SessionId, Timestamp>) {
        let live = self.sessions.into_iter().map(|StoredSession(session)| (session.id, Arc::new(session))).collect();
        (live, self.ended.into_iter().map(|StoredEnd(ended)| (ended.id, ended.at)).collect())
    }
}

/// Writes `sessions.json`, one session on each line.
pub(super) fn write(sessions: &LiveSessions, ended: &[EndedSession], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"sessions\":[")?;
    write_lines(sessions.values().map(|session| SessionRecord::new(session)), out)?;
    out.write_all(b"],\n\"ended\":[")?;
    write_lines(ended.iter().map(EndRecord::new), out)?;
    out.write_all(b"]}\n")
}

fn write_lines(records: impl Iterator<Item = impl Serialize>, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "\n";
    for record in records {
        out.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut *out, &record)?;
        separator = ",\n";
    }
    Ok(())
}

/// Approximate size of the record of a session.
pub(super) fn size_bytes(session: &Session) -> usize {
    // The names of the fields, the times, the hashes and the address take about 450 bytes.
    450 + session.origin.user_agent.as_ref().map_or(0, |agent| agent.as_str().len())
}

/// A session as the files have it.
#[derive(Serialize, Deserialize)]
pub(super) struct SessionRecord {
    id: String,
    user_id: UserId,
    methods: Vec<String>,
    authenticated_at: Timestamp,
    refreshed_at: Timestamp,
    expires_at: Timestamp,
    user_agent: Option<String>,
    address: Option<IpAddr>,
    secret_hash: String,
    spent: Option<SpentRecord>,
}

#[derive(Serialize, Deserialize)]
struct SpentRecord {
    secret_hash: String,
    nonce: String,
    at: Timestamp,
}

impl SessionRecord {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            user_id: session.user_id,
            methods: session.methods.iter().map(|method| method.as_str().to_owned()).collect(),
            authenticated_at: session.authenticated_at,
            refreshed_at: session.refreshed_at,
            expires_at: session.expires_at,
            user_agent: session.origin.user_agent.as_ref().map(|agent| agent.as_str().to_owned()),
            address: session.origin.address,
            secret_hash: session.secret.expose(),
            spent: session.spent.as_ref().map(|spent| SpentRecord {
                secret_hash: spent.secret.expose(),
                nonce: spent.nonce.expose(),
                at: spent.at,
            }),
        }
    }
}

/// A session that was read.
#[derive(Deserialize)]
#[serde(try_from = "SessionRecord")]
pub(super) struct StoredSession(pub(super) Session);

impl TryFrom<SessionRecord> for StoredSession {
    type Error = String;

    fn try_from(record: SessionRecord) -> Result<Self, String> {
        let spent = |spent: SpentRecord| {
            let secret = parsed("spent.secret_hash", &spent.secret_hash)?;
            Ok::<_, String>(Spent { secret, nonce: parsed("spent.nonce", &spent.nonce)?, at: spent.at })
        };
        let methods = record.methods.iter().map(|method| parsed::<Method>("methods", method));
        Ok(Self(Session {
            id: parsed("id", &record.id)?,
            user_id: record.user_id,
            methods: methods.collect::<Result<_, _>>()?,
            authenticated_at: record.authenticated_at,
            refreshed_at: record.refreshed_at,
            expires_at: record.expires_at,
            origin: Origin {
                user_agent: record.user_agent.map(|agent| UserAgent::new(agent.as_bytes())),
                address: record.address,
            },
            secret: parsed("secret_hash", &record.secret_hash)?,
            spent: record.spent.map(spent).transpose()?,
        }))
    }
}

/// That a session has ended, as the files have it.
#[derive(Serialize, Deserialize)]
pub(super) struct EndRecord {
    id: String,
    at: Timestamp,
}

impl EndRecord {
    pub(super) fn new(ended: &EndedSession) -> Self {
        Self { id: ended.id.to_string(), at: ended.at }
    }
}

/// The end of a session that was read.
#[derive(Deserialize)]
#[serde(try_from = "EndRecord")]
pub(super) struct StoredEnd(pub(super) EndedSession);

impl TryFrom<EndRecord> for StoredEnd {
    type Error = String;

    fn try_from(record: EndRecord) -> Result<Self, String> {
        Ok(Self(EndedSession { id: parsed("id", &record.id)?, at: record.at }))
    }
}

/// The message repeats no value, which may be a secret.
fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("`{name}` of a session {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::json::sessions::tests::session;

    #[test]
    fn what_was_written_is_read() {
        let sessions: LiveSessions = (1..=3).map(|n| session(n, 7)).map(|session| (session.id, session)).collect();
        let ended = [EndedSession { id: session(4, 7).id, at: Timestamp::from_unix_micros(5).unwrap() }];
        let written = |sessions: &LiveSessions, ended: &[EndedSession]| {
            let mut bytes = Vec::new();
            write(sessions, ended, &mut bytes).unwrap();
            bytes
        };
        let (live, ends) = StoredSessions::parse(&written(&sessions, &ended)).unwrap().into_maps();
        assert_eq!((live, ends), (sessions, HashMap::from([(ended[0].id, ended[0].at)])));
        let (live, ends) = StoredSessions::parse(&written(&LiveSessions::new(), &[])).unwrap().into_maps();
        assert!(live.is_empty() && ends.is_empty());
    }

    #[test]
    fn a_broken_record_is_named_and_no_hash_is_repeated() {
        let record = serde_json::to_value(SessionRecord::new(&session(1, 7))).unwrap();
        for (field, wrong, what) in [
            ("id", "short", "`id` of a session must be 16 bytes"),
            ("secret_hash", "c2VjcmV0", "`secret_hash` of a session must be the 32 bytes"),
            ("refreshed_at", "yesterday", "is not an RFC 3339 time"),
            ("address", "nowhere", "invalid IP address"),
        ] {
            let mut record = record.clone();
            record[field] = wrong.into();
            let file = format!("{{\"sessions\":[{record}],\"ended\":[]}}");
            let mistake = StoredSessions::parse(file.as_bytes()).map(drop).unwrap_err();
            assert!(mistake.contains(what) && mistake.contains("line 1"), "{mistake}");
            assert!(!mistake.contains("c2VjcmV0"), "{mistake}");
        }
    }
}
