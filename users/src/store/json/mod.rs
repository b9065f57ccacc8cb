//! The users in a folder of JSON files: `users.json`, as the Python system wrote it, and `users.meta.json`.
//!
//! In the order to read: [`table`] (the users in memory), [`record`] and [`folder`] (what a file looks like, and how it
//! is replaced), [`files`] (both together), [`staged`] and [`actor`] (how a change becomes durable), and the messages
//! that the actor answers ([`reads`], [`writes`]).

pub(super) mod actor;
pub(super) mod files;
pub(super) mod reads;
pub(super) mod record;
pub(super) mod writes;

mod folder;
mod staged;
mod table;
