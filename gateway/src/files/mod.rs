//! Files that the gateway reads while it runs: bounded reads, and polling for changes. Knows neither what is in the
//! files nor what is made of them.

pub(crate) mod poll;
pub(crate) mod read;
