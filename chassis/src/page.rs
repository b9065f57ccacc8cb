//! Pages of a list: `limit` and an opaque, signed `cursor` in the query, the next page in `Link` (RFC 8288).

use actix_http::header::HeaderValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    config::Secret,
    problem::{Code, Problem},
};

/// A page has at most this many entries.
pub const LIMIT_MAX: usize = 500;
/// 16 bytes of the MAC are kept: cursors are checked against mistakes and meddling, they give no rights.
const MAC_BYTES: usize = 16;
/// A cursor of ours is far shorter; a longer text is not decoded at all.
const CURSOR_BYTES_MAX: usize = 512;

/// Signs and verifies cursors, so that one made up or changed by a client is told from one of ours.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    /// A key for the list called `purpose`. All replicas of a service share the secret, and so each other's cursors.
    pub fn derive(secret: &Secret, purpose: &str) -> Self {
        // HMAC takes a key of any length (RFC 2104, section 2), so that the error cannot happen.
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any length is a key");
        mac.update(b"cursor\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        Self(mac)
    }

    /// The cursor that stands for `position`, good only in the same `scope` (whose list, which filters).
    pub fn seal(&self, scope: &str, position: &str) -> String {
        let mut bytes = self.mac(scope, position)[..MAC_BYTES].to_vec();
        bytes.extend_from_slice(position.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position that a cursor stands for.
    ///
    /// # Errors
    /// 400 where the cursor is not one of ours, or belongs to another list.
    pub fn open(&self, scope: &str, cursor: &str) -> Result<String, Problem> {
        self.verified(scope, cursor).ok_or_else(|| {
            Problem::new(Code::BadRequest, "the cursor is not valid for this list; start again without one")
        })
    }

    fn verified(&self, scope: &str, cursor: &str) -> Option<String> {
        if cursor.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (mac, position) = bytes.split_at_checked(MAC_BYTES)?;
        let position = std::str::from_utf8(position).ok()?;
        (self.mac(scope, position)[..MAC_BYTES] == *mac).then(|| position.to_owned())
    }

    fn mac(&self, scope: &str, position: &str) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(scope.as_bytes());
        mac.update(b"\0");
        mac.update(position.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The part of a list that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// At most so many entries.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and `cursor`; other parameters belong to the endpoint.
    ///
    /// # Errors
    /// 400 where `limit` is no number from 1 to [`LIMIT_MAX`], or a parameter is repeated.
    pub fn parse(query: &str, limit_default: usize) -> Result<Self, Problem> {
        let limit = match parameter(query, "limit")? {
            None => limit_default,
            Some(text) => text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                Problem::new(Code::BadRequest, format!("`limit` must be a number from 1 to {LIMIT_MAX}"))
            })?,
        };
        Ok(Self { limit, cursor: parameter(query, "cursor")? })
    }

    /// The `Link` to the page that starts at `cursor`: `</api/users?limit=2&cursor=…>; rel="next"`.
    pub fn link_next(&self, path: &str, query: &str, cursor: &str) -> Option<HeaderValue> {
        let mut kept: Vec<&str> =
            query.split('&').filter(|pair| !pair.is_empty() && name_of(pair) != "cursor").collect();
        let cursor = format!("cursor={cursor}");
        kept.push(&cursor);
        HeaderValue::try_from(format!("<{path}?{}>; rel=\"next\"", kept.join("&"))).ok()
    }
}

/// A query parameter, which may be given once.
///
/// # Errors
/// 400 where it is repeated.
pub fn parameter(query: &str, name: &str) -> Result<Option<String>, Problem> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value.into_owned())),
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::BadRequest, format!("the query parameter `{name}` is given more than once")))
        }
    }
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> CursorKey {
        CursorKey::derive(&Secret::new("k".repeat(32)), "orders")
    }

    #[test]
    fn a_limit_is_a_number_from_1_to_500() {
        assert_eq!(PageQuery::parse("", 100).unwrap().limit, 100);
        assert_eq!(PageQuery::parse("limit=500&x=1", 100).unwrap().limit, 500);
        for bad in ["limit=0", "limit=501", "limit=", "limit=ten", "limit=-1", "limit=1&limit=2"] {
            assert_eq!(PageQuery::parse(bad, 100).unwrap_err().code(), Code::BadRequest, "{bad}");
        }
    }

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let page = PageQuery::parse("limit=2&cursor=old&status=a", 100).unwrap();
        let link = page.link_next("/api/orders", "limit=2&cursor=old&status=a", "new").unwrap();
        assert_eq!(link, "</api/orders?limit=2&status=a&cursor=new>; rel=\"next\"");
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let cursor = key().seal("user 7", "17:4");
        assert_eq!(key().open("user 7", &cursor).unwrap(), "17:4");
        assert!(key().open("user 8", &cursor).is_err());
        assert!(CursorKey::derive(&Secret::new("k".repeat(32)), "users").open("user 7", &cursor).is_err());
    }

    proptest! {
        #[test]
        fn a_cursor_with_any_character_changed_is_refused(at in 0_usize..27, to in "[A-Za-z0-9_-]") {
            let cursor = key().seal("s", "17:4");
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != cursor);
            prop_assert!(key().open("s", &changed).is_err());
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = PageQuery::parse(&text, 100);
            let _ = key().open("s", &text);
        }
    }
}
