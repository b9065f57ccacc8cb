//! Computes and verifies bcrypt hashes on a bounded pool, never on a thread that serves requests or owns state.
//!
//! A hash takes a core for a quarter of a second, and anybody may ask for one: [`pool`] limits how many are computed at
//! once. Those that wait take [`turns`], and the order is fair between the addresses of clients ([`mod@line`], pure), so that
//! one address that signs in without pause keeps nobody else waiting for longer than one turn. The [`threads`] have a lower
//! priority than those that serve requests, and [`mod@bcrypt`] lets others run between its rounds. Failed sign-ins slow down the
//! next ones ([`guesses`]; [`slowdown`] is pure).

mod bcrypt;
mod guesses;
mod line;
mod place;
mod pool;
mod slowdown;
mod threads;
mod turns;

pub(crate) use self::guesses::SignIn;
pub(crate) use self::pool::{Passwords, PasswordsError, hash_blocking};
