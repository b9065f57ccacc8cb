//! The `Via` field (RFC 9110, section 7.6.3): records that a message passed this gateway, and detects loops. Knows no
//! routes.

use actix_http::{
    Version,
    header::{HeaderMap, HeaderValue, VIA},
};
use chassis::problem::{Code, Problem};

/// Number of random bytes in a name: 4, which are 8 hexadecimal digits, distinguish the gateways on the path of one
/// request.
const RANDOM_BYTES: usize = 4;

/// The pseudonym of this gateway in `Via`, which does not reveal its host. Each instance has its own.
#[derive(Clone, Debug)]
pub(crate) struct Pseudonym {
    name: String,
    /// The value of the field, by the version in which a message was received.
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Pseudonym {
    /// A new random pseudonym.
    pub(crate) fn new() -> Self {
        let mut random = [0; RANDOM_BYTES];
        // Without random numbers, two gateways in a row would have the same name, and the second would answer 508.
        let _ = getrandom::fill(&mut random);
        Self::named(format!("gateway-{:08x}", u32::from_be_bytes(random)))
    }

    fn named(name: String) -> Self {
        let hop = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}")).unwrap_or(HeaderValue::from_static("1.1 gateway"))
        };
        Self { http10: hop("1.0"), http11: hop("1.1"), http2: hop("2.0"), name }
    }

    /// Refuses a request that has passed this gateway before.
    ///
    /// # Errors
    /// 508.
    pub(crate) fn refuse_loop(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let values = headers.get_all(VIA).filter_map(|value| value.to_str().ok());
        let mut names = values.flat_map(|value| value.split(',')).filter_map(|hop| hop.split_ascii_whitespace().nth(1));
        if names.any(|name| name == self.name) {
            return Err(Problem::new(
                Code::LoopDetected,
                "the request has passed this gateway before: an upstream leads back to it",
            ));
        }
        Ok(())
    }

    /// Adds this gateway to a message that was received in this version.
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
    fn a_request_that_comes_back_is_recognized_by_its_via() {
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
