//! The users in a folder: `users.json`, as the Python system wrote it, `sessions.json`, their sessions, `users.log`, the
//! changes since, and `users.meta.json`.
//!
//! In the order to read: [`table`] and [`sessions`] (what is in memory), [`record`], [`session_record`] and [`log_line`]
//! (what the files look like), [`folder`] and [`log_file`] (how they are replaced and appended to), [`contents`] (reads all
//! together) and [`files`] (writes them), [`staged`] and [`actor`] (how a change becomes durable), [`events`] (what of it is
//! recorded for an audit), and the messages that the actor answers ([`reads`], [`writes`], [`session_writes`]). Beside them
//! are [`rehearsal`], which reads the files as they are or a copy, [`import`], and [`repair`], for damaged files.

pub(super) mod actor;
pub(super) mod contents;
pub(super) mod files;
pub(super) mod import;
pub(super) mod reads;
pub(super) mod record;
pub(super) mod rehearsal;
pub(super) mod repair;
pub(super) mod session_writes;
pub(super) mod writes;

mod events;
mod folder;
mod log_file;
mod log_line;
mod session_record;
mod sessions;
mod staged;
mod table;
