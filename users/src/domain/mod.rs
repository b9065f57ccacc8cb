//! What an account is and how it may change: types that exist only if they are valid, and pure rules over them. Knows no
//! HTTP, no file, no actor and no clock.

mod filter;
mod name;
mod password;
mod refresh_token;
mod rules;
mod session;
mod session_id;
mod user;

pub(crate) use filter::{Search, UserFilter};
pub(crate) use name::{Email, Folded, FullName, Remark, UserName};
pub(crate) use password::{COST_MAX, NewPassword, PasswordHash, PasswordPolicy, Plaintext};
pub(crate) use refresh_token::{NONCE_BYTES, Nonce, RefreshToken, TOKEN_BYTES};
pub(crate) use rules::{Protection, Refusal};
pub use session::SessionLimits;
pub(crate) use session::{
    EndReason, EndedSession, Method, Origin, Presented, SESSIONS_PER_USER_MAX, Session, Spent, UserAgent,
};
pub(crate) use session_id::SessionId;
pub(crate) use user::{ID_MAX, Lock, NewUser, UnknownFields, User, UserEdit, UserType};
