//! The kinds of failure of an attempt, and what each says about its target. Pure: knows neither awc nor sockets.

use super::outcome::Outcome;

/// Why an attempt got no answer, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection could be opened: nothing was sent.
    NotConnected,
    /// No connection could be opened in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke after something may have been sent.
    Broken,
    /// The upstream closed an idle connection of the pool just when the request was sent on it. Most probably the
    /// request was not read, but it may have been.
    Stale,
    /// The head of the answer did not arrive in time.
    HeadTimeout,
    /// The answer was not valid HTTP.
    Invalid,
    /// The answer broke off in its body.
    AnswerCut,
    /// No byte of the body of the answer arrived for too long.
    AnswerStalled,
    /// The body of the request ended early, was too large or too slow: not the fault of the upstream.
    RequestBody,
    /// The deadline of the whole request passed before the target had the time for its answer that it is granted.
    Deadline,
}

impl FailureKind {
    /// Returns what it says about the target.
    pub(crate) const fn outcome(self) -> Outcome {
        match self {
            Self::NotConnected
            | Self::ConnectTimeout
            | Self::Broken
            | Self::HeadTimeout
            | Self::Invalid
            | Self::AnswerCut
            | Self::AnswerStalled => Outcome::Failure,
            Self::Stale | Self::RequestBody | Self::Deadline => Outcome::Unknown,
        }
    }
}
