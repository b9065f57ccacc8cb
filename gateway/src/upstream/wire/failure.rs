//! The failures of an attempt: their kind, their cause for the log, and the answer to the client. Knows no routes.

use std::io;

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use chassis::problem::{Code, Problem};

use super::{framing::FramingError, upload_writer::UploadEnded};
use crate::upstream::decide::failure_kind::FailureKind;

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// What happened, for the log only.
    pub(crate) cause: String,
}

impl Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enums of awc are non-exhaustive")]
    /// Classifies an error of awc. Beware: `Connect(Disconnected)` is a connection that broke after the request was
    /// sent.
    pub(crate) fn from_awc(error: &SendRequestError) -> Self {
        let kind = match error {
            SendRequestError::Connect(ConnectError::Timeout) => FailureKind::ConnectTimeout,
            SendRequestError::Connect(
                ConnectError::Io(_) | ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved,
            ) => FailureKind::NotConnected,
            SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => {
                Self::kind_of_io(error)
            }
            SendRequestError::Response(_) | SendRequestError::Http(_) => FailureKind::Invalid,
            SendRequestError::Timeout => FailureKind::HeadTimeout,
            SendRequestError::Body(_) => FailureKind::RequestBody,
            // Also for whatever awc may add: the request may have been sent.
            _ => FailureKind::Broken,
        };
        Self { kind, cause: format!("{error:?}") }
    }

    /// Classifies an error of the connection, which may be one of the framing guard or of the upload.
    fn kind_of_io(error: &io::Error) -> FailureKind {
        if error.get_ref().and_then(|error| error.downcast_ref::<UploadEnded>()).is_some() {
            return FailureKind::RequestBody;
        }
        match FramingError::from_io(error) {
            Some(FramingError::Invalid(_)) => FailureKind::Invalid,
            Some(FramingError::Stale) => FailureKind::Stale,
            Some(FramingError::Closed | FramingError::Truncated) | None => FailureKind::Broken,
        }
    }

    /// The answer is not valid HTTP.
    pub(crate) fn invalid(cause: &str) -> Self {
        Self { kind: FailureKind::Invalid, cause: cause.to_owned() }
    }

    /// The head of the answer did not arrive in time.
    pub(crate) fn head_timeout() -> Self {
        Self { kind: FailureKind::HeadTimeout, cause: "no response head in time".to_owned() }
    }

    /// The answer broke off in its body.
    pub(crate) fn answer_cut(cause: String) -> Self {
        Self { kind: FailureKind::AnswerCut, cause }
    }

    /// Nothing more of the answer arrived for the time that it may pause.
    pub(crate) fn answer_stalled(bytes_received: usize) -> Self {
        let cause = format!("the answer stopped after {bytes_received} bytes of its body");
        Self { kind: FailureKind::AnswerStalled, cause }
    }

    /// The deadline of the whole request passed while its body was still awaited from the client.
    pub(crate) fn upload_timeout() -> Self {
        Self { kind: FailureKind::RequestBody, cause: "the deadline passed before the body was complete".to_owned() }
    }

    /// The deadline of the whole request has passed.
    pub(crate) fn deadline_exceeded() -> Self {
        Self { kind: FailureKind::Deadline, cause: "the deadline of the request has passed".to_owned() }
    }

    /// Returns the answer to the client; `upstream` is the name in the configuration.
    pub(crate) fn to_problem(&self, upstream: &str) -> Problem {
        let (code, detail) = match self.kind {
            FailureKind::NotConnected => (Code::UpstreamUnreachable, format!("`{upstream}` cannot be reached")),
            FailureKind::ConnectTimeout => {
                (Code::UpstreamTimeout, format!("`{upstream}` did not accept a connection in time"))
            }
            FailureKind::Broken | FailureKind::Stale => {
                (Code::UpstreamUnreachable, format!("`{upstream}` closed the connection"))
            }
            FailureKind::HeadTimeout | FailureKind::Deadline => {
                (Code::UpstreamTimeout, format!("`{upstream}` did not answer in time"))
            }
            FailureKind::Invalid => (Code::UpstreamInvalid, format!("`{upstream}` did not answer with valid HTTP")),
            FailureKind::AnswerCut => (Code::UpstreamInvalid, format!("`{upstream}` did not end its answer")),
            FailureKind::AnswerStalled => {
                (Code::UpstreamTimeout, format!("`{upstream}` did not end its answer in time"))
            }
            FailureKind::RequestBody => (Code::BadRequest, "the request body ended before its time".to_owned()),
        };
        Problem::new(code, detail).because(self.cause.clone())
    }
}
