//! The result of one test of a configuration.

/// A test and its result. Without differences it has passed.
pub(crate) struct TestResult {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) differences: Vec<Difference>,
}

/// Something that differs from what a test expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) actual: String,
}
