//! The id of a session, and how random bytes are written as text.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The id of a session: the claim `sid` of access tokens. It is no secret, and gives no rights.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(super) [u8; Self::BYTES]);

impl SessionId {
    /// 128 bits, so that no two sessions have the same.
    pub(super) const BYTES: usize = 16;
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text).map(Self).ok_or("must be 16 bytes in base64url")
    }
}

/// Reads exactly as many bytes.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let id = SessionId([7; SessionId::BYTES]);
        assert_eq!((id.to_string().len(), id.to_string().parse()), (22, Ok(id)));
        for wrong in ["", "7", &id.to_string()[1..], &format!("{id}A"), &format!("{id}==")] {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
