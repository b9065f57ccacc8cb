//! How an attempt ended, as far as its target is concerned. Pure.

/// How a request ended, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// It says nothing about the target: the client went away, or its body was wrong.
    Unknown,
}
