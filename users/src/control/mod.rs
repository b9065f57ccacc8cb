//! How the commands of the `users` program reach the accounts, whether the service runs or not.
//!
//! One process owns the folder of the users. So a command opens the store itself where the folder is free, and asks the
//! service that has it otherwise, by way of a [`socket`] in the folder ([`access`] does either). Either way the same [`operations`] answer the same [`message`]s, so that a command is written once, and no rule of the
//! store twice.

mod access;
mod message;
mod operations;
mod socket;

pub use self::access::AccountSettings;
pub(crate) use self::{
    access::{Access, check_owner},
    message::{Account, CreateRequest, ListRequest, Password},
    operations::Operations,
    socket::ControlSocket,
};
