//! The sessions in memory, by id and by user, and those that have ended. Knows no file and no message.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use chassis::{identity::UserId, timestamp::Timestamp};

use crate::domain::{EndedSession, Session, SessionId};

/// All sessions by id. Records are shared, so that a copy of the map costs a pointer for each.
pub(super) type LiveSessions = HashMap<SessionId, Arc<Session>>;

/// The sessions that have not been ended. Those that have ended by time are among them until they are removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    live: LiveSessions,
    by_user: HashMap<UserId, Vec<SessionId>>,
}

impl Sessions {
    pub(super) fn new(live: LiveSessions) -> Self {
        let mut by_user: HashMap<UserId, Vec<SessionId>> = HashMap::new();
        for session in live.values() {
            by_user.entry(session.user_id).or_default().push(session.id);
        }
        Self { live, by_user }
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Arc<Session>> {
        self.live.get(&id)
    }

    /// The sessions of a user, in no order.
    pub(super) fn of(&self, user: UserId) -> impl Iterator<Item = &Arc<Session>> {
        self.by_user.get(&user).into_iter().flatten().filter_map(|id| self.live.get(id))
    }

    pub(super) const fn live(&self) -> &LiveSessions {
        &self.live
    }

    /// Adds a session, or replaces the one of the same id, which is of the same user.
    pub(super) fn put(&mut self, session: Arc<Session>) {
        let (id, user) = (session.id, session.user_id);
        if self.live.insert(id, session).is_none() {
            self.by_user.entry(user).or_default().push(id);
        }
    }

    /// Removes a session, if it is there.
    pub(super) fn remove(&mut self, id: SessionId) {
        let Some(session) = self.live.remove(&id) else { return };
        if let Some(ids) = self.by_user.get_mut(&session.user_id) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_user.remove(&session.user_id);
            }
        }
    }

    /// Removes the sessions of a user, or of all, for which `is_over` is true.
    pub(super) fn remove_where(&mut self, user: Option<UserId>, is_over: impl Fn(&Session) -> bool) {
        let over: Vec<SessionId> = match user {
            Some(user) => self.of(user).filter(|session| is_over(session)).map(|session| session.id).collect(),
            None => self.live.values().filter(|session| is_over(session)).map(|session| session.id).collect(),
        };
        over.into_iter().for_each(|id| self.remove(id));
    }
}

/// Some of the sessions that have ended.
#[derive(Debug, PartialEq)]
pub(crate) struct EndedPage {
    pub(crate) ended: Vec<EndedSession>,
    /// The number of the one that follows the last of these.
    pub(crate) next: u64,
    /// Whether that one has ended already.
    pub(crate) has_more: bool,
}

/// The sessions that were ended, in the order in which their ends became durable, numbered from zero.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    kept: VecDeque<EndedSession>,
    /// How many have been forgotten.
    forgotten: u64,
}

impl EndedSessions {
    pub(super) fn new(ended: Vec<EndedSession>) -> Self {
        Self { kept: ended.into(), forgotten: 0 }
    }

    pub(super) fn push(&mut self, ended: EndedSession) {
        self.kept.push_back(ended);
    }

    /// Forgets those that had ended at this time.
    pub(super) fn forget_until(&mut self, time: Timestamp) {
        while self.kept.front().is_some_and(|ended| ended.at <= time) {
            self.kept.pop_front();
            self.forgotten += 1;
        }
    }

    /// How many there have been.
    pub(super) fn count(&self) -> u64 {
        self.forgotten + u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }

    /// Up to `limit` of them from a number on. Those that have been forgotten are left out: no access token of them is
    /// valid.
    pub(super) fn since(&self, number: u64, limit: usize) -> EndedPage {
        let skipped = number.saturating_sub(self.forgotten);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.kept.len());
        let ended: Vec<_> = self.kept.range(skipped..).take(limit).copied().collect();
        let end = skipped + ended.len();
        let next = self.forgotten + u64::try_from(end).unwrap_or(u64::MAX);
        EndedPage { ended, next, has_more: end < self.kept.len() }
    }

    pub(super) const fn kept(&self) -> &VecDeque<EndedSession> {
        &self.kept
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{NONCE_BYTES, Nonce, Origin, Presented, RefreshToken, SessionLimits, TOKEN_BYTES, UserAgent};

    /// A session that has been refreshed.
    pub(in crate::store::json) fn session(n: u8, user: i64) -> Arc<Session> {
        let limits = SessionLimits {
            idle: Duration::from_secs(100),
            max: Duration::from_secs(1000),
            ended_kept: Duration::from_secs(1000),
        };
        let token = RefreshToken::new(&[n; TOKEN_BYTES]);
        let origin = Origin { user_agent: Some(UserAgent::new(b"test")), address: Some([127, 0, 0, n].into()) };
        let at = |second: i64| Timestamp::from_unix_micros(second * 1_000_000).unwrap();
        let session = Session::open(UserId(user), &token, origin, &limits, at(100));
        let presented = session.present(&token, Nonce([n; NONCE_BYTES]), &limits, at(101));
        let Presented::Current(session, _) = presented else { panic!("{presented:?}") };
        Arc::new(*session)
    }

    fn ids(sessions: &Sessions, user: i64) -> Vec<SessionId> {
        let mut ids: Vec<_> = sessions.of(UserId(user)).map(|session| session.id).collect();
        ids.sort_unstable();
        ids
    }

    fn sorted(sessions: &[&Arc<Session>]) -> Vec<SessionId> {
        let mut ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_sessions_of_a_user_are_found_after_every_change() {
        let [a, b, c] = [session(1, 7), session(2, 7), session(3, 8)];
        let live = [&a, &b].map(|session| (session.id, Arc::clone(session))).into();
        let mut sessions = Sessions::new(live);
        sessions.put(Arc::clone(&c));
        sessions.put(Arc::clone(&a));
        assert_eq!((ids(&sessions, 7), ids(&sessions, 8)), (sorted(&[&a, &b]), sorted(&[&c])));
        sessions.remove(a.id);
        sessions.remove(a.id);
        assert_eq!((ids(&sessions, 7), sessions.get(a.id)), (sorted(&[&b]), None));
        sessions.put(Arc::clone(&a));
        sessions.remove_where(Some(UserId(7)), |session| session.id != b.id);
        assert_eq!((ids(&sessions, 7), ids(&sessions, 8)), (sorted(&[&b]), sorted(&[&c])));
        sessions.remove_where(None, |_| true);
        assert!(sessions.live.is_empty() && sessions.by_user.is_empty());
    }

    #[test]
    fn ended_sessions_are_found_by_number_also_when_older_ones_are_forgotten() {
        let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
        let ended = |n: u8| EndedSession { id: session(n, 7).id, at: at(i64::from(n)) };
        let mut sessions = EndedSessions::new(vec![ended(0), ended(1), ended(2)]);
        sessions.push(ended(3));
        let page = |sessions: &EndedSessions, number, limit, from, next, has_more| {
            let ended: Vec<_> = (from..u8::try_from(next).unwrap()).map(ended).collect();
            assert_eq!(sessions.since(number, limit), EndedPage { ended, next, has_more }, "{number} {limit}");
        };
        page(&sessions, 0, 3, 0, 3, true);
        page(&sessions, 3, 3, 3, 4, false);
        page(&sessions, 4, 3, 4, 4, false);
        sessions.forget_until(at(1));
        page(&sessions, 0, 1, 2, 3, true);
        page(&sessions, 1, 2, 2, 4, false);
        page(&sessions, 3, 2, 3, 4, false);
        sessions.forget_until(at(9));
        page(&sessions, 2, 2, 4, 4, false);
        assert_eq!(sessions.count(), 4);
    }
}
