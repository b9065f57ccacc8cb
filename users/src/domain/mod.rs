//! What an account is and how it may change: types that exist only if they are valid, and pure rules over them. Knows no
//! HTTP, no file, no actor and no clock.

mod filter;
mod name;
mod password;
mod rules;
mod user;

pub(crate) use filter::{Search, UserFilter};
pub(crate) use name::{Email, Folded, FullName, UserName};
pub(crate) use password::{COST_MAX, NewPassword, PasswordHash, PasswordPolicy, Plaintext};
pub(crate) use rules::{Protection, Refusal};
pub(crate) use user::{ID_MAX, NewUser, UnknownFields, User, UserEdit, UserType};
