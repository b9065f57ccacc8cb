//! Conditional requests (RFC 9110, section 13): entity tags, `If-Match` against lost updates, `If-None-Match` for caches.

use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Code, Problem};

/// A strong entity tag made from the version of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a version of a resource. Tags of different resources are never compared.
    pub fn from_version(version: u64) -> Self {
        Self(format!("\"v{version}\""))
    }

    /// The header value.
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// The condition in `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// No condition.
    Absent,
    /// `*`: any version, as long as the resource exists.
    Any,
    /// One of these tags. Weak tags are omitted, since they never match here (section 13.1.1).
    Tags(Vec<ETag>),
}

impl IfMatch {
    /// Reads the condition of a request.
    ///
    /// # Errors
    /// 400 where the field is not a list of entity tags.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(match parse(headers, &header::IF_MATCH)? {
            None => Self::Absent,
            Some(List::Any) => Self::Any,
            Some(List::Tags(tags)) => {
                Self::Tags(tags.into_iter().filter(|(weak, _)| !weak).map(|(_, tag)| tag).collect())
            }
        })
    }

    /// Whether a resource in this version may be changed.
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Absent | Self::Any => true,
            Self::Tags(tags) => tags.contains(&ETag::from_version(version)),
        }
    }
}

/// Whether `If-None-Match` says that the client has this version already, so that the answer is 304 (weak comparison).
///
/// # Errors
/// 400 where the field is not a list of entity tags.
pub fn is_not_modified(headers: &HeaderMap, version: u64) -> Result<bool, Problem> {
    Ok(match parse(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(List::Any) => true,
        Some(List::Tags(tags)) => tags.iter().any(|(_, tag)| *tag == ETag::from_version(version)),
    })
}

enum List {
    Any,
    Tags(Vec<(bool, ETag)>),
}

fn parse(headers: &HeaderMap, name: &HeaderName) -> Result<Option<List>, Problem> {
    let malformed = || Problem::new(Code::BadRequest, format!("{name} must be `*` or a list of quoted entity tags"));
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        if rest == "*" {
            return Ok(Some(List::Any));
        }
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |strong| (true, strong));
            let inner = quoted.strip_prefix('"').ok_or_else(malformed)?;
            let end = inner.find('"').ok_or_else(malformed)?;
            tags.push((weak, ETag(quoted[..end + 2].to_owned())));
            let after = inner[end + 1..].trim_start();
            rest = match after.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => after,
                None => return Err(malformed()),
            };
        }
    }
    Ok(Some(List::Tags(tags)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn if_match_allows_only_the_versions_that_it_names() {
        for (value, allowed) in [
            ("\"v3\"", true),
            ("*", true),
            ("\"v1\", \"v3\"", true),
            ("\"a,b\",\"v3\"", true),
            ("\"v2\"", false),
            ("W/\"v3\"", false),
        ] {
            let condition = IfMatch::from_headers(&headers(header::IF_MATCH, value)).unwrap();
            assert_eq!(condition.allows(3), allowed, "{value}");
        }
        assert!(IfMatch::from_headers(&HeaderMap::new()).unwrap().allows(3));
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, same) in [("\"v3\"", true), ("W/\"v3\"", true), ("*", true), ("\"v2\"", false)] {
            assert_eq!(is_not_modified(&headers(header::IF_NONE_MATCH, value), 3).unwrap(), same, "{value}");
        }
    }

    #[test]
    fn an_unquoted_tag_is_a_bad_request() {
        for value in ["v3", "\"v3", "\"v3\" \"v4\""] {
            let refused = IfMatch::from_headers(&headers(header::IF_MATCH, value)).unwrap_err();
            assert_eq!(refused.code(), Code::BadRequest, "{value}");
        }
    }
}
