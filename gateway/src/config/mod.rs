//! The configuration: one YAML file, decoded to the settings of each part, with every mistake reported at once.
//!
//! It is read in four steps, each a module, from the bottom up:
//!
//! 1. `keys` describes every key once: name, form, default, meaning.
//! 2. `yaml` parses the text to a tree whose nodes have line and column.
//! 3. `decode` turns the tree into settings. It reports each mistake and continues, and it checks what one part of the file
//!    says against the others.
//! 4. `load` connects them to files, and renders the mistakes.
//!
//! Each part of the gateway owns the type of its settings (`upstream::settings`, `auth::settings`, …);
//! [`Config`] combines them. This module knows the YAML and the environment; it opens no socket, reads no key or
//! certificate (their files may be on another machine), and keeps no state. The tricky part is that a mistake must not hide
//! others and must not cause more of them: a value that cannot be decoded is left out, and what depends on it is not checked.
//!
//! Programs that embed the gateway get a [`Config`] from [`Builder::load`](crate::Builder::load), or check one with
//! [`Config::load`]:
//!
//! ```
//! use gateway::config::{Config, render};
//!
//! let yaml = "version: 1\nlissen: 127.0.0.1:8001\n";
//! let mistakes = Config::load(yaml, &|_| None).unwrap_err();
//! let shown: Vec<String> = mistakes.iter().map(|mistake| render(mistake, "gateway.yaml", yaml)).collect();
//! assert!(shown.iter().any(|text| text.contains("did you mean `listen`?")), "{shown:?}");
//! ```

mod load;
mod model;

mod decode;
mod keys;
mod yaml;

pub use keys::{reference, schema};
pub(crate) use load::{load, load_bytes_with, load_text_with, load_with, read};
pub(crate) use model::Case;
pub use model::Config;
pub use yaml::mistake::{Mistake, Place, render};
