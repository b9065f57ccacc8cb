//! YAML as a tree in which every node knows its place, so that every mistake can say where it is.

mod bounds;
pub(crate) mod mistake;
pub(crate) mod tree;
