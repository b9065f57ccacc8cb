//! A rate limit as configured: how many requests, in which time, counted by what. Knows no routes and counts nothing.

use std::{fmt, num::NonZeroU32, time::Duration};

use actix_http::header::HeaderName;

/// How many requests are allowed in which time, and whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: NonZeroU32,
    pub(crate) window: Duration,
    pub(crate) key: LimitKey,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitKey {
    ClientIp,
    Caller,
    /// Requests with the same value of this header; requests without it by client address.
    Header(HeaderName),
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = match self.window.as_secs() {
            1 => "s",
            60 => "min",
            3600 => "h",
            86_400 => "day",
            seconds => return write!(f, "{} in {seconds} s {}", self.count, self.key),
        };
        write!(f, "{}/{window} {}", self.count, self.key)
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("per ip"),
            Self::Caller => f.write_str("per user"),
            Self::Header(name) => write!(f, "per header {name}"),
        }
    }
}
