//! The kinds of failure of an attempt, and what each says about the target. Pure: knows neither awc nor sockets.

use super::outcome::Outcome;

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection came about: nothing was sent.
    NotConnected,
    /// No connection came about in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke after something may have been sent.
    Broken,
    /// The upstream closed a pooled connection just when the request was sent on it. Nothing was answered; it may
    /// have been read.
    Stale,
    /// No answer in time.
    HeadTimeout,
    /// What came is no HTTP.
    Invalid,
    /// The body of the client ended early, was too large, or too slow: not the upstream's fault.
    RequestBody,
    /// The time for the whole request was over while its body was still coming.
    Total,
}

impl FailureKind {
    /// What it says about the target.
    pub(crate) const fn outcome(self) -> Outcome {
        match self {
            Self::NotConnected | Self::ConnectTimeout | Self::Broken | Self::HeadTimeout | Self::Invalid => {
                Outcome::Failure
            }
            Self::Stale | Self::RequestBody | Self::Total => Outcome::Unknown,
        }
    }
}
