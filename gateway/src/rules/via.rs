//! The `Via` field (RFC 9110, section 7.6.3): says that a message went through this gateway, and stops it going round.

use actix_http::{
    Version,
    header::{HeaderMap, HeaderValue, VIA},
};
use chassis::problem::{Code, Problem};

/// 4 bytes are 8 hexadecimal digits: enough to tell the gateways on one way from each other.
const RANDOM_BYTES: usize = 4;

/// The name of this gateway in `Via`, which says nothing about the host. Each instance has its own.
#[derive(Clone, Debug)]
pub(crate) struct Pseudonym {
    name: String,
    /// The hop, by the version in which a message was received.
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Pseudonym {
    /// A new name.
    pub(crate) fn new() -> Self {
        let mut random = [0; RANDOM_BYTES];
        // Without randomness two gateways in a row would take each other for themselves: they say so with 508.
        let _ = getrandom::fill(&mut random);
        Self::named(format!("gateway-{:08x}", u32::from_be_bytes(random)))
    }

    fn named(name: String) -> Self {
        let hop = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}")).unwrap_or(HeaderValue::from_static("1.1 gateway"))
        };
        Self { http10: hop("1.0"), http11: hop("1.1"), http2: hop("2.0"), name }
    }

    /// Refuses what has been here before.
    ///
    /// # Errors
    /// 508.
    pub(crate) fn refuse_loop(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let values = headers.get_all(VIA).filter_map(|value| value.to_str().ok());
        let mut names = values.flat_map(|value| value.split(',')).filter_map(|hop| hop.split_ascii_whitespace().nth(1));
        if names.any(|name| name == self.name) {
            return Err(Problem::new(Code::LoopDetected, "the request has been here before: an upstream leads back"));
        }
        Ok(())
    }

    /// Adds this hop, with the version in which the message was received.
    pub(crate) fn add(&self, headers: &mut HeaderMap, version: Version) {
        let hop = match version {
            Version::HTTP_10 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        };
        headers.append(VIA, hop.clone());
    }
}

impl Default for Pseudonym {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_comes_back_is_known_by_its_via() {
        let (own, other) = (Pseudonym::named("gateway-1".to_owned()), Pseudonym::named("gateway-11".to_owned()));
        let mut headers = HeaderMap::new();
        other.add(&mut headers, Version::HTTP_10);
        assert!(own.refuse_loop(&headers).is_ok());
        assert_eq!(headers.get(VIA).unwrap(), "1.0 gateway-11");
        other.add(&mut headers, Version::HTTP_2);
        assert_eq!(headers.get_all(VIA).last().unwrap(), "2.0 gateway-11");
        headers.append(VIA, HeaderValue::from_static("1.1 a (comment), HTTP/1.1 gateway-1"));
        assert!(own.refuse_loop(&headers).is_err());
    }
}
