//! The gateway's own keys: their files, the folder that is polled, their rotation, and the current set of them. Knows
//! no tokens.
//!
//! A key is published before it signs and verifies after it has signed, so that nobody ever meets a token of a key that
//! is not published. [`rotation`] decides this from dates alone; [`folder`] reads the files; [`ring`] publishes the
//! result to all workers.

pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod key;
pub(crate) mod ring;
mod rotation;
pub(crate) mod set;
