//! The audit log: who did what to which account, when, from where, and with which outcome, in files that show whether they
//! were changed afterwards. Knows no HTTP and no store. Never has a password or a token.
//!
//! In the order to read: what is recorded ([`event`], pure), the [`mod@line`] that it becomes (pure), which failures are written
//! though an attacker causes as many as it likes ([`repeats`], pure), the [`files`], and the thread that owns them ([`writer`]), behind the handle [`Audit`]. Then what people do with the files: [`mod@verify`] and
//! [`mod@show`].
//!
//! Each line contains the SHA-256 of the line before. A line that was changed, removed or inserted later breaks that chain,
//! unless every line after it is written anew; and then no copy of a later hash, kept elsewhere, is found any more.
//!
//! The tricky part is the order. A change is recorded durably *before* it is made durable itself: a crash in between
//! leaves a line about a change that was not made, which the record of the user contradicts. The other way around, it
//! would leave a change that nothing tells of.

mod event;
mod files;
mod line;
mod repeats;
mod settings;
mod show;
mod verify;
mod writer;

pub use self::settings::{AuditSettings, Opener};
pub(crate) use self::{
    event::{Account, Event, Initiator, Rejection},
    settings::{FOLDER, MIB_MAX_DEFAULT},
    show::{Filter, show},
    verify::{Verdict, verify},
    writer::Audit,
};
