//! Decides which of the events are written that somebody can cause as often as they like: failures, and what users do to their
//! own account. In a window of a minute, the first of its kind by account and address is written at once, and at the end of
//! the window how often it came again. Pure: time is a parameter.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::event::{Event, RepeatKey, Repeatable};

/// How long the same events are counted before they are written.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of accounts whose own events are counted, each with about 200 bytes; those of others are all written.
const OWN_MAX: usize = 16_384;

/// The events of the present window.
pub(super) struct Repeats {
    failures: HashMap<RepeatKey, u64>,
    failures_max: usize,
    own: HashMap<RepeatKey, u64>,
    /// Failures that were not listed, since there were too many different ones.
    not_listed: u64,
    /// Begins with the first of them.
    window_end: Option<Instant>,
}

impl Repeats {
    /// Lists up to `failures_max` different failures in each window.
    pub(super) fn new(failures_max: usize) -> Self {
        Self { failures: HashMap::new(), failures_max, own: HashMap::new(), not_listed: 0, window_end: None }
    }

    /// Whether this event is to be written now. If not, it is counted.
    pub(super) fn is_new(&mut self, event: &Event, now: Instant) -> bool {
        let (seen, key, keys_max, is_failure) = match event.repeatable() {
            Repeatable::No => return true,
            Repeatable::Failure(key) => (&mut self.failures, key, self.failures_max, true),
            Repeatable::OwnAccount(key) => (&mut self.own, key, OWN_MAX, false),
        };
        self.window_end.get_or_insert(now + WINDOW);
        if let Some(times) = seen.get_mut(&key) {
            *times += 1;
            return false;
        }
        let has_room = seen.len() < keys_max;
        if has_room {
            seen.insert(key, 0);
        } else if is_failure {
            self.not_listed += 1;
        }
        has_room || !is_failure
    }

    /// When the window ends, if there is one.
    pub(super) const fn window_end(&self) -> Option<Instant> {
        self.window_end
    }

    /// Ends the window if it is time: what was counted in it.
    pub(super) fn end_window(&mut self, now: Instant) -> Vec<Event> {
        if self.window_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        self.take()
    }

    /// Ends the window: what was counted in it.
    pub(super) fn take(&mut self) -> Vec<Event> {
        self.window_end = None;
        let repeated = self.failures.drain().chain(self.own.drain()).filter(|(_, times)| *times > 0);
        let mut events: Vec<Event> = repeated.map(|(key, times)| Event::repeated(key, times)).collect();
        let not_listed = std::mem::take(&mut self.not_listed);
        events.extend((not_listed > 0).then(|| Event::failures_not_listed(not_listed)));
        events
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::{
        event::{Account, Initiator, Rejection},
        settings::Opener,
    };

    fn failure(name: &str, address: u8) -> Event {
        let account = Account::Unknown { name_hash: name.to_owned() };
        let initiator = Initiator {
            address: Some([203, 0, 113, address].into()),
            request_id: Some("r".to_owned()),
            ..Initiator::default()
        };
        Event::sign_in_rejected(Rejection::Wrong, Some(account), initiator)
    }

    fn json_of(events: &[Event]) -> Vec<Value> {
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    #[test]
    fn a_flood_is_a_line_at_its_beginning_and_one_for_each_minute() {
        let (mut repeats, start) = (Repeats::new(10), Instant::now());
        let new = |repeats: &mut Repeats, after| repeats.is_new(&failure("a", 1), start + Duration::from_secs(after));
        assert!(new(&mut repeats, 0));
        assert!((1..60).all(|after| !new(&mut repeats, after)));
        assert!(repeats.end_window(start + Duration::from_secs(59)).is_empty());
        let ended = json_of(&repeats.end_window(start + WINDOW));
        let expected = json!({
            "event": "sign_in_failed", "outcome": "refused", "user": {"name_hash": "a"}, "address": "203.0.113.1",
            "details": {"times": 59}
        });
        assert_eq!(ended, [expected]);
        assert_eq!(repeats.window_end(), None);
        assert!(new(&mut repeats, 60), "and begins again");
        assert!(repeats.take().is_empty(), "a single failure is not written twice");
    }

    #[test]
    fn other_accounts_and_other_addresses_are_listed_apart_up_to_a_maximum() {
        let (mut repeats, now) = (Repeats::new(3), Instant::now());
        for (name, address, is_new) in
            [("a", 1, true), ("a", 2, true), ("b", 1, true), ("c", 1, false), ("c", 1, false), ("a", 2, false)]
        {
            assert_eq!(repeats.is_new(&failure(name, address), now), is_new, "{name} {address}");
        }
        let started = Event::ended(Opener::Command);
        assert!((0..9).all(|_| repeats.is_new(&started, now)), "what no client can cause is always written");
        let ended = json_of(&repeats.take());
        assert_eq!(ended.len(), 2);
        assert_eq!((&ended[0]["address"], &ended[0]["details"]["times"]), (&json!("203.0.113.2"), &json!(1)));
        assert_eq!((&ended[1]["event"], &ended[1]["details"]["events"]), (&json!("failures_not_listed"), &json!(2)));
    }
}
