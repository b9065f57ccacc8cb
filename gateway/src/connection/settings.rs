//! What all clients together, and each connection, may use. Knows no YAML.

use std::time::Duration;

/// What all clients together, and each connection, may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    /// More connections than this wait until others end.
    pub(crate) connections: usize,
    /// The request line and the headers of a request.
    pub(crate) head_bytes_max: usize,
    /// A client that needs longer for a head is cut off.
    pub(crate) head_timeout: Duration,
    /// A client that reads nothing of its answer for longer is cut off.
    pub(crate) write_timeout: Duration,
}
