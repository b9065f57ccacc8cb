//! The limits of the public listener. Knows no YAML.

use std::time::Duration;

use super::stall::WritePace;

/// The limits of the public listener and of each of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// Maximum number of open connections. Further ones wait to be accepted until others end.
    pub(crate) connections: usize,
    /// Maximum size of the head of a request: the request line and the header fields.
    pub(crate) head_bytes_max: usize,
    /// Maximum time until the head of a request is complete.
    pub(crate) head_timeout: Duration,
    /// Maximum time for which a connection stays open without a request.
    pub(crate) keep_alive: Duration,
    /// Maximum number of requests in progress on one HTTP/2 connection.
    pub(crate) streams_max: u32,
    /// How slowly a client may read its answer.
    pub(crate) write_pace: WritePace,
}
