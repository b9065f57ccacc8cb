//! Reloads the configuration when its files change. See [`crate::runtime::current`] for the swap itself.

pub(crate) mod source;
pub(crate) mod watcher;
