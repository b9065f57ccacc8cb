//! One test of a configuration, and its result.

use super::trial::Difference;

/// One test and what became of it.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) differences: Vec<Difference>,
}
