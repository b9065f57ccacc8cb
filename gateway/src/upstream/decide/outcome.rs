//! The outcome of an attempt, as far as its target is concerned. Pure.

/// The outcome of an attempt, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// Nothing is known about the target: the client closed the connection, or its body was invalid.
    Unknown,
}
