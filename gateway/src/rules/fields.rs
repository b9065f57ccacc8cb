//! Fields that decide how a message is passed on: the hop-by-hop fields (RFC 9110, section 7.6.1), which no intermediary
//! passes on, and the declared length of a body.

use actix_http::header::{self, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};

/// Fields that are about one connection, not about the message (section 7.6.1).
pub(crate) const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

/// The fields that are not passed on in either direction: the hop-by-hop fields and those that `Connection` names.
pub(crate) struct HopByHop(Vec<HeaderName>);

impl HopByHop {
    /// Returns those of a message.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        // As bytes: an option that is not text must not hide the others.
        let options = headers.get_all(CONNECTION).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        Self(options.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect())
    }

    /// Returns whether a field is one of them.
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(name) || self.0.contains(name)
    }
}

/// Returns the declared length of a body in bytes; `None` where there is none.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::header::HeaderValue;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn fields_about_one_connection_are_not_passed_on() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "other"),
            ("x-secret", "1"),
            ("other", "2"),
            ("keep-alive", "3"),
            ("te", "trailers"),
            ("kept", "a"),
            ("kept", "b"),
        ]);
        let hop_by_hop = HopByHop::of(&headers);
        headers.retain(|name, _| !hop_by_hop.contains(name));
        let kept: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(kept, [("kept", "a"), ("kept", "b")]);
    }

    #[test]
    fn an_option_that_is_not_text_hides_no_others() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_bytes(b"\xff, x-drop, , a b").unwrap());
        assert!(HopByHop::of(&headers).contains(&HeaderName::from_static("x-drop")));
    }
}
