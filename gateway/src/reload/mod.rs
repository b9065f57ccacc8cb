//! Reloads the configuration when its files change: [`source`] reads it, [`watcher`] decides when. The swap itself is in
//! [`crate::runtime::current`].

pub(crate) mod source;
pub(crate) mod watcher;
