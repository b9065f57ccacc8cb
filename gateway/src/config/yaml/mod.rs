//! YAML as a tree in which every node knows its place in the file.
//!
//! A decoder based on serde stops at the first error and loses most places. This tree lets decoding continue after a mistake,
//! so that one run reports all of them, each with line, column and suggestion. `tree` parses the text, and `table` gives the
//! decoders typed values by key. What the keys mean is not known here: they are described in [`keys`](super::keys), and decoded
//! in `decode`.
//!
//! The tricky parts are in what users can write: aliases that expand to gigabytes (`bounds` counts before a tree is built),
//! and variables, which are substituted inside scalars after parsing, so that the environment cannot add structure.

mod bounds;
pub(crate) mod mistake;
pub(crate) mod table;
pub(crate) mod tree;
