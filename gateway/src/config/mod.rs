//! The configuration: one YAML file, parsed to a tree in which every node knows its place, and decoded to the settings of
//! each part, with every mistake reported at once. Each part of the gateway owns its settings type; [`Config`] is their
//! product.

mod load;

pub(crate) mod decode;
pub(crate) mod keys;
pub(crate) mod yaml;

pub use keys::{reference, schema};
pub use load::Config;
pub(crate) use load::{load, load_text_with, load_with, read};
pub use yaml::mistake::{Mistake, Place, render};
