//! One answer of the feed: which sessions have ended, and where to go on. Pure.

use std::time::Duration;

use serde::Deserialize;

/// Maximum size of an answer: 256 KiB. A thousand sessions of 60 bytes take 60 KiB.
pub(super) const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Maximum length of a cursor, which becomes a part of a URL.
const CURSOR_BYTES_MAX: usize = 1024;

/// One answer of the feed, the oldest session first.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Page {
    pub(super) ended: Vec<EndedSession>,
    /// What to ask for next: exactly what comes after this answer.
    pub(super) next: String,
    /// How long a session stays in the feed after its end, in seconds.
    pub(super) kept_for: u64,
    /// Whether there is more already.
    pub(super) more: bool,
}

/// A session that has ended.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct EndedSession {
    pub(super) sid: String,
    /// When it ended, in seconds since the epoch of Unix.
    pub(super) at: u64,
}

impl Page {
    /// Reads an answer to the question for what came after `cursor`.
    ///
    /// # Errors
    /// It is no answer of a feed, or it would lead nowhere: it says that there is more, but brings nothing.
    pub(super) fn read(body: &[u8], cursor: Option<&str>) -> Result<Self, String> {
        let page: Self =
            serde_json::from_slice(body).map_err(|error| format!("it answered no ended sessions: {error}"))?;
        if page.next.is_empty() || page.next.len() > CURSOR_BYTES_MAX {
            return Err(format!("its cursor has {} bytes, not 1 to {CURSOR_BYTES_MAX}", page.next.len()));
        }
        if page.more && (page.ended.is_empty() || cursor == Some(&page.next)) {
            return Err("it says that there is more, but does not get on".to_owned());
        }
        Ok(page)
    }

    /// Checks that sessions stay in the feed for as long as tokens of them may be valid: otherwise a gateway that starts
    /// would not learn of all that matter.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn check_kept_for(&self, ttl: Duration) -> Result<(), String> {
        if Duration::from_secs(self.kept_for) >= ttl {
            return Ok(());
        }
        let (kept_for, ttl) = (self.kept_for, ttl.as_secs());
        Err(format!("it keeps ended sessions for {kept_for} s, but tokens are valid for {ttl} s (`tokens.ttl`)"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(more: &Value, cursor: Option<&str>) -> Result<Page, String> {
        let mut page = json!({"ended": [{"sid": "a", "at": 7}], "next": "2", "kept_for": 3600, "more": false});
        page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Page::read(page.to_string().as_bytes(), cursor)
    }

    #[test]
    fn an_answer_is_read() {
        let page = read(&json!({"more": true, "later": "ignored"}), Some("1")).unwrap();
        let ended = vec![EndedSession { sid: "a".to_owned(), at: 7 }];
        assert_eq!(page, Page { ended, next: "2".to_owned(), kept_for: 3600, more: true });
        assert!(read(&json!({"ended": []}), Some("2")).is_ok(), "nothing new: the cursor stays");
    }

    #[test]
    fn an_answer_that_is_none_or_leads_nowhere_is_refused() {
        for (more, cursor) in [
            (json!({"ended": [], "more": true}), None),
            (json!({"more": true}), Some("2")),
            (json!({"next": ""}), None),
            (json!({"next": "x".repeat(CURSOR_BYTES_MAX + 1)}), None),
            (json!({"next": 2}), None),
            (json!({"ended": [{"sid": 1, "at": 7}]}), None),
            (json!({"ended": [{"sid": "a", "at": -7}]}), None),
            (json!({"ended": null}), None),
            (json!({"kept_for": null}), None),
        ] {
            assert!(read(&more, cursor).is_err(), "{more}");
        }
        for body in ["", "[]", "{}", "{\"ended\": [", "<html>"] {
            assert!(Page::read(body.as_bytes(), None).is_err(), "{body}");
        }
    }

    #[test]
    fn sessions_must_stay_for_as_long_as_tokens_are_valid() {
        let page = read(&json!({}), None).unwrap();
        assert_eq!(page.check_kept_for(Duration::from_secs(3600)), Ok(()));
        let why = "it keeps ended sessions for 3600 s, but tokens are valid for 3601 s (`tokens.ttl`)";
        assert_eq!(page.check_kept_for(Duration::from_secs(3601)).unwrap_err(), why);
    }
}
