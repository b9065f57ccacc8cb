//! What can go wrong on the way to an upstream: whose fault it is, whether it was sent, what the client is told.

use std::io;

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use chassis::problem::{Code, Problem};

use super::framing::Fault;
use crate::upstream::decide::failure_kind::FailureKind;

/// A request that got no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// What happened, for the log.
    pub(crate) cause: String,
}

impl Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enums of awc are non-exhaustive")]
    /// Reads an error of awc. `Connect(Disconnected)` is what awc says of a connection that broke after sending.
    pub(crate) fn of(error: &SendRequestError) -> Self {
        let kind = match error {
            SendRequestError::Connect(ConnectError::Timeout) => FailureKind::ConnectTimeout,
            SendRequestError::Connect(
                ConnectError::Io(_) | ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved,
            ) => FailureKind::NotConnected,
            SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => Self::of_io(error),
            SendRequestError::Response(_) | SendRequestError::Http(_) => FailureKind::Invalid,
            SendRequestError::Timeout => FailureKind::HeadTimeout,
            SendRequestError::Body(_) => FailureKind::RequestBody,
            // Whatever awc may add: it may have been sent.
            _ => FailureKind::Broken,
        };
        Self { kind, cause: format!("{error:?}") }
    }

    /// Reads an error of the connection, which the framing guard has labelled.
    fn of_io(error: &io::Error) -> FailureKind {
        match Fault::within(error) {
            Some(Fault::Invalid(_)) => FailureKind::Invalid,
            Some(Fault::Stale) => FailureKind::Stale,
            Some(Fault::Closed | Fault::Truncated) | None => FailureKind::Broken,
        }
    }

    /// An answer that is none.
    pub(crate) fn invalid(cause: &str) -> Self {
        Self { kind: FailureKind::Invalid, cause: cause.to_owned() }
    }

    /// No answer before the deadline.
    pub(crate) fn head_timeout() -> Self {
        Self { kind: FailureKind::HeadTimeout, cause: "no response head in time".to_owned() }
    }

    /// The time for the whole request is over.
    pub(crate) fn deadline_exceeded() -> Self {
        Self { kind: FailureKind::Deadline, cause: "the whole request took too long".to_owned() }
    }

    /// What the client is told; `upstream` is the name in the configuration.
    pub(crate) fn to_problem(&self, upstream: &str) -> Problem {
        let (code, detail) = match self.kind {
            FailureKind::NotConnected => (Code::UpstreamUnreachable, format!("`{upstream}` cannot be reached")),
            FailureKind::ConnectTimeout => (Code::UpstreamTimeout, format!("`{upstream}` did not accept in time")),
            FailureKind::Broken | FailureKind::Stale => {
                (Code::UpstreamUnreachable, format!("`{upstream}` broke the connection"))
            }
            FailureKind::HeadTimeout | FailureKind::Deadline => {
                (Code::UpstreamTimeout, format!("`{upstream}` did not answer in time"))
            }
            FailureKind::Invalid => (Code::UpstreamInvalid, format!("`{upstream}` gave no valid HTTP answer")),
            FailureKind::RequestBody => (Code::BadRequest, "the request body ended before its time".to_owned()),
        };
        Problem::new(code, detail).because(self.cause.clone())
    }
}
