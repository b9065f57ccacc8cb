//! Pagination: `limit` and an opaque, signed `cursor` in the query, the next page in `Link` (RFC 8288).

use std::collections::BTreeSet;

use actix_http::header::HeaderValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    config::Secret,
    problem::{Code, Problem},
};

/// Maximum number of entries on a page.
pub const LIMIT_MAX: usize = 500;
/// Number of bytes of the MAC in a cursor. 16 are enough: they detect errors and tampering, and a cursor gives no rights.
const MAC_BYTES: usize = 16;
/// Maximum length of a cursor that is decoded at all; valid ones are far shorter.
const CURSOR_BYTES_MAX: usize = 512;
/// Maximum number of unknown parameters that a problem names, so that it stays short whatever the query is.
const UNKNOWN_NAMED_MAX: usize = 5;

/// Signs and verifies cursors, so that an invented or altered one is detected.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    /// A key for the service named `purpose`. All replicas of a service share the secret, and so accept each other's
    /// cursors.
    pub fn derive(secret: &Secret, purpose: &str) -> Self {
        // HMAC accepts a key of any length (RFC 2104, section 2).
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("a key of any length is valid");
        mac.update(b"cursor\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        Self(mac)
    }

    /// The cursor for `position`, valid only in the same `scope` (whose list, which filters).
    pub fn sign(&self, scope: &str, position: &str) -> String {
        let mut bytes = self.mac(scope, position)[..MAC_BYTES].to_vec();
        bytes.extend_from_slice(position.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// 400 where the cursor was not signed with this key, or belongs to another list.
    pub fn verify(&self, scope: &str, cursor: &str) -> Result<String, Problem> {
        self.position(scope, cursor).ok_or_else(|| {
            Problem::new(Code::BadRequest, "the cursor is not valid for this list; start again without one")
        })
    }

    fn position(&self, scope: &str, cursor: &str) -> Option<String> {
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

/// The page of a list that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Maximum number of entries.
    pub limit: usize,
    /// Where the previous page ended.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and `cursor`. Beside them there may be the parameters `others`, which the endpoint reads.
    ///
    /// # Errors
    /// 400 where `limit` is not a number from 1 to [`LIMIT_MAX`], or a parameter is unknown or repeated.
    pub fn parse(query: &str, limit_default: usize, others: &[&str]) -> Result<Self, Problem> {
        refuse_unknown_parameters(query, &[&["limit", "cursor"], others].concat())?;
        let limit = match parameter(query, "limit")? {
            None => limit_default,
            Some(text) => text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                Problem::new(Code::BadRequest, format!("`limit` must be a number from 1 to {LIMIT_MAX}"))
            })?,
        };
        Ok(Self { limit, cursor: parameter(query, "cursor")? })
    }

    /// The `Link` to the page that starts at `cursor`: `</api/users?limit=2&cursor=…>; rel="next"`.
    pub fn next_link(&self, path: &str, query: &str, cursor: &str) -> Option<HeaderValue> {
        let mut parameters: Vec<&str> =
            query.split('&').filter(|pair| !pair.is_empty() && name_of(pair) != "cursor").collect();
        let cursor = format!("cursor={cursor}");
        parameters.push(&cursor);
        HeaderValue::try_from(format!("<{path}?{}>; rel=\"next\"", parameters.join("&"))).ok()
    }
}

/// A query parameter, which may be given only once.
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

/// Refuses a query that has other parameters than the `known` ones. A filter that was misspelled, or that does not exist,
/// would otherwise be answered with everything.
///
/// # Errors
/// 400 that names the unknown parameters.
pub fn refuse_unknown_parameters(query: &str, known: &[&str]) -> Result<(), Problem> {
    let names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let unknown: BTreeSet<_> = names.filter(|name| !known.contains(&name.as_ref())).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = unknown.iter().take(UNKNOWN_NAMED_MAX).map(|name| format!("`{name:.64}`")).collect();
    let known = match known {
        [] => "there are none here".to_owned(),
        known => format!("there are `{}`", known.join("`, `")),
    };
    Err(Problem::new(Code::BadRequest, format!("unknown query parameter: {}; {known}", listed.join(", "))))
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
        assert_eq!(PageQuery::parse("", 100, &[]).unwrap().limit, 100);
        assert_eq!(PageQuery::parse("limit=500&x=1", 100, &["x"]).unwrap().limit, 500);
        for bad in ["limit=0", "limit=501", "limit=", "limit=ten", "limit=-1", "limit=1&limit=2"] {
            assert_eq!(PageQuery::parse(bad, 100, &[]).unwrap_err().code(), Code::BadRequest, "{bad}");
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        for (query, named) in [
            ("", None),
            ("&", None),
            ("limit=2&cursor=a", None),
            ("q=a", Some("`q`")),
            ("limit=2&status=a&q=b&q=c", Some("`q`, `status`")),
            ("Limit=2", Some("`Limit`")),
            ("%71=a", Some("`q`")),
            ("=a", Some("``")),
        ] {
            let expected = named.map(|named| format!("unknown query parameter: {named}; there are `limit`, `cursor`"));
            let refused = refuse_unknown_parameters(query, &["limit", "cursor"]).err();
            assert_eq!(refused.map(|problem| problem.detail().to_owned()), expected, "{query}");
        }
        let many: String = (0..5000).map(|n| format!("{n}{}=&", "a".repeat(100))).collect();
        assert!(refuse_unknown_parameters(&many, &[]).unwrap_err().detail().len() < 500);
    }

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let page = PageQuery::parse("limit=2&cursor=old&status=a", 100, &["status"]).unwrap();
        let link = page.next_link("/api/orders", "limit=2&cursor=old&status=a", "new").unwrap();
        assert_eq!(link, "</api/orders?limit=2&status=a&cursor=new>; rel=\"next\"");
    }

    #[test]
    fn a_cursor_is_valid_for_its_own_list_only() {
        let cursor = key().sign("user 7", "17:4");
        assert_eq!(key().verify("user 7", &cursor).unwrap(), "17:4");
        assert!(key().verify("user 8", &cursor).is_err());
        assert!(CursorKey::derive(&Secret::new("k".repeat(32)), "users").verify("user 7", &cursor).is_err());
    }

    proptest! {
        #[test]
        fn a_cursor_with_any_character_changed_is_refused(at in 0_usize..27, to in "[A-Za-z0-9_-]") {
            let cursor = key().sign("s", "17:4");
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != cursor);
            prop_assert!(key().verify("s", &changed).is_err());
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = PageQuery::parse(&text, 100, &[]);
            let _ = key().verify("s", &text);
        }
    }
}
