//! The gateway's own keys: their files, the folder that is watched, which of them sign, and when they rotate.

pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod key;
pub(crate) mod ring;
pub(crate) mod rotation;
pub(crate) mod set;
