//! A session: what a sign-in opens and every refresh token belongs to, until it ends. Pure: the time is given.
//!
//! The tricky part is a refresh token that comes a second time. It may be the client, which did not get the answer or has
//! two tabs, or somebody who has copied the token. Within a short grace the first is assumed, and the answer is the same
//! as before; later than that, or for any older token, the session ends (RFC 9700, section 4.14.2). A thief who is first
//! loses the session as soon as the owner comes, and the other way round.

use std::{net::IpAddr, str::FromStr, time::Duration};

use chassis::{identity::UserId, timestamp::Timestamp};

use super::{
    refresh_token::{Nonce, RefreshToken, SecretHash},
    session_id::SessionId,
};

/// How long a refresh token that was used may be used again, for the same answer: longer than a client waits before it
/// tries again, and too short to be of use to a thief.
pub(crate) const GRACE: Duration = Duration::from_secs(30);
/// Maximum number of sessions of a user. The next sign-in ends the one that was not used for the longest time.
pub(crate) const SESSIONS_PER_USER_MAX: usize = 100;
/// Maximum length of what is kept of a `User-Agent`: enough for the browser and the system, which come first.
const USER_AGENT_CHARS_MAX: usize = 200;

/// How a user proved to be this user (RFC 8176).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Password,
}

impl Method {
    /// The name of the method in the claim `amr`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "pwd",
        }
    }
}

impl FromStr for Method {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pwd" => Ok(Self::Password),
            _ => Err("is no known method"),
        }
    }
}

/// What a client says it is: a hint for the user who looks at a list of sessions, and no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserAgent(Box<str>);

impl UserAgent {
    /// What is kept of a `User-Agent`: its beginning, with a question mark for each byte that is no visible ASCII
    /// character, so that a list shows nothing but text.
    pub(crate) fn new(value: &[u8]) -> Self {
        let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
        Self(value.iter().take(USER_AGENT_CHARS_MAX).map(shown).collect::<String>().into())
    }

    pub(crate) const fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a sign-in came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) user_agent: Option<UserAgent>,
    pub(crate) address: Option<IpAddr>,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How long a session lives without being refreshed.
    pub idle: Duration,
    /// How long a session lives after the sign-in.
    pub max: Duration,
    /// How long it is remembered that a session has ended, for those who have accepted its access tokens.
    pub ended_kept: Duration,
}

impl SessionLimits {
    fn end(&self, authenticated_at: Timestamp, refreshed_at: Timestamp) -> Timestamp {
        refreshed_at.saturating_add(self.idle).min(authenticated_at.saturating_add(self.max))
    }
}

/// The token that was used last, for the grace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) secret: SecretHash,
    pub(crate) nonce: Nonce,
    pub(crate) at: Timestamp,
}

/// A session. A record is never modified, only replaced by its next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user_id: UserId,
    pub(crate) methods: Vec<Method>,
    pub(crate) authenticated_at: Timestamp,
    /// When it was last refreshed, or opened.
    pub(crate) refreshed_at: Timestamp,
    /// When it ends, unless it is refreshed before or ended earlier.
    pub(crate) expires_at: Timestamp,
    pub(crate) origin: Origin,
    /// The hash of the secret of the current refresh token.
    pub(crate) secret: SecretHash,
    pub(crate) spent: Option<Spent>,
}

/// What a refresh token is to its session.
#[derive(Debug)]
pub(crate) enum Presented {
    /// It is the current one: the session with its successor, and the successor.
    Current(Box<Session>, RefreshToken),
    /// It was the current one until a moment ago: the same successor again.
    Repeated(RefreshToken),
    /// It was used before, too long ago: somebody has a copy.
    Replayed,
    /// The session has ended by time.
    Expired,
}

impl Session {
    /// The session that a sign-in opens.
    pub(crate) fn open(
        user_id: UserId,
        token: &RefreshToken,
        origin: Origin,
        limits: &SessionLimits,
        now: Timestamp,
    ) -> Self {
        Self {
            id: token.session_id(),
            user_id,
            methods: vec![Method::Password],
            authenticated_at: now,
            refreshed_at: now,
            expires_at: limits.end(now, now),
            origin,
            secret: token.hash(),
            spent: None,
        }
    }

    /// Decides what to do with a refresh token that names this session.
    pub(crate) fn present(
        &self,
        token: &RefreshToken,
        nonce: Nonce,
        limits: &SessionLimits,
        now: Timestamp,
    ) -> Presented {
        if self.is_expired(limits, now) {
            return Presented::Expired;
        }
        let hash = token.hash();
        if hash == self.secret {
            let successor = token.successor(&nonce);
            let next = Self {
                refreshed_at: now,
                expires_at: limits.end(self.authenticated_at, now),
                secret: successor.hash(),
                spent: Some(Spent { secret: hash, nonce, at: now }),
                ..self.clone()
            };
            return Presented::Current(Box::new(next), successor);
        }
        match &self.spent {
            Some(spent) if hash == spent.secret && is_within_grace(spent.at, now) => {
                Presented::Repeated(token.successor(&spent.nonce))
            }
            Some(_) | None => Presented::Replayed,
        }
    }

    /// When the session ends by time. Limits that are shorter now hold for sessions that were opened before, too; longer
    /// ones, from the next refresh on.
    pub(crate) fn ends_at(&self, limits: &SessionLimits) -> Timestamp {
        self.expires_at.min(limits.end(self.authenticated_at, self.refreshed_at))
    }

    /// Whether the session has ended by time.
    pub(crate) fn is_expired(&self, limits: &SessionLimits, now: Timestamp) -> bool {
        now >= self.ends_at(limits)
    }
}

/// Both ways, so that a clock that was set back, by a little or by a lot, neither ends sessions of clients that try again
/// nor makes the grace longer.
fn is_within_grace(spent_at: Timestamp, now: Timestamp) -> bool {
    now <= spent_at.saturating_add(GRACE) && spent_at <= now.saturating_add(GRACE)
}

/// That a session has ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedSession {
    pub(crate) id: SessionId,
    pub(crate) at: Timestamp,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EndReason {
    /// Its user signed out.
    SignedOut,
    /// Its user ended it from another session.
    EndedByUser,
    EndedByAdmin,
    /// Its user has another password.
    PasswordChanged,
    /// Its user has other rights.
    RightsChanged,
    UserDeleted,
    UserLocked,
    /// A refresh token was used again.
    Replayed,
    /// Its user has opened too many others since.
    TooMany,
}

impl EndReason {
    /// Every reason.
    pub(crate) const ALL: [Self; 9] = [
        Self::SignedOut,
        Self::EndedByUser,
        Self::EndedByAdmin,
        Self::PasswordChanged,
        Self::RightsChanged,
        Self::UserDeleted,
        Self::UserLocked,
        Self::Replayed,
        Self::TooMany,
    ];

    /// The name of the reason in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByAdmin => "ended_by_admin",
            Self::PasswordChanged => "password_changed",
            Self::RightsChanged => "rights_changed",
            Self::UserDeleted => "user_deleted",
            Self::UserLocked => "user_locked",
            Self::Replayed => "replayed",
            Self::TooMany => "too_many",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refresh_token::{NONCE_BYTES, TOKEN_BYTES};

    const LIMITS: SessionLimits = SessionLimits {
        idle: Duration::from_secs(100),
        max: Duration::from_secs(250),
        ended_kept: Duration::from_secs(1000),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_micros(second * 1_000_000).unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken::new(&[1; TOKEN_BYTES])
    }

    fn opened() -> Session {
        Session::open(UserId(7), &token(), Origin::default(), &LIMITS, at(1000))
    }

    fn nonce(fill: u8) -> Nonce {
        Nonce([fill; NONCE_BYTES])
    }

    /// Refreshes with the current token.
    fn refreshed(session: &Session, token: &RefreshToken, second: i64) -> (Session, RefreshToken) {
        let presented = session.present(token, nonce(9), &LIMITS, at(second));
        let Presented::Current(session, token) = presented else { panic!("{presented:?}") };
        (*session, token)
    }

    #[test]
    fn a_token_is_rotated_once_repeated_within_the_grace_and_replayed_after_it() {
        let (session, second) = refreshed(&opened(), &token(), 1010);
        for (seconds, repeated) in [(0, true), (30, true), (31, false), (-1, true), (-31, false)] {
            match session.present(&token(), nonce(3), &LIMITS, at(1010 + seconds)) {
                Presented::Repeated(successor) => {
                    assert!(repeated, "{seconds}");
                    assert_eq!(successor.hash(), second.hash(), "the same successor, whatever the new nonce is");
                }
                Presented::Replayed => assert!(!repeated, "{seconds}"),
                other @ (Presented::Current(..) | Presented::Expired) => panic!("{seconds}: {other:?}"),
            }
        }
        let (session, _) = refreshed(&session, &second, 1011);
        let oldest = session.present(&token(), nonce(3), &LIMITS, at(1011));
        assert!(matches!(oldest, Presented::Replayed), "the one before the last is never accepted: {oldest:?}");
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_too_old() {
        let session = opened();
        assert_eq!((session.is_expired(&LIMITS, at(1099)), session.is_expired(&LIMITS, at(1100))), (false, true));
        let (session, second) = refreshed(&session, &token(), 1090);
        assert_eq!(session.ends_at(&LIMITS), at(1190));
        let (session, third) = refreshed(&session, &second, 1180);
        assert_eq!(session.ends_at(&LIMITS), at(1250), "250 seconds after the sign-in");
        assert!(matches!(session.present(&third, nonce(1), &LIMITS, at(1250)), Presented::Expired));
    }

    #[test]
    fn shorter_limits_hold_at_once_and_longer_ones_revive_nothing() {
        let shorter = SessionLimits { idle: Duration::from_secs(10), ..LIMITS };
        let longer = SessionLimits { idle: Duration::from_secs(200), ..LIMITS };
        assert_eq!((opened().ends_at(&shorter), opened().ends_at(&longer)), (at(1010), at(1100)));
    }

    #[test]
    fn what_is_kept_of_a_user_agent_is_short_and_visible() {
        let kept = |value: &[u8]| UserAgent::new(value).as_str().to_owned();
        assert_eq!(kept(b"curl/8.5.0 (x)"), "curl/8.5.0 (x)");
        assert_eq!(kept("a\tb\u{1b}[31m\u{202e}".as_bytes()), "a?b?[31m???");
        assert_eq!(kept(&[b'x'; 1000]).len(), USER_AGENT_CHARS_MAX);
    }
}
