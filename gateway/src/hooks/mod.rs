//! Named functions that a route may call: to read a token, to authorise, to make headers, to change an answer.
//!
//! A program that embeds the gateway registers them with a [`Builder`](crate::Builder); the YAML refers to them by name.
//! A hook gets a [`Request`] and may wait, on the thread of the request. The problem that it returns is the answer to the
//! client; a hook that panics is a 500. Hooks know nothing of sockets, upstreams or retries.
//!
//! ```
//! use gateway::{Gateway, bearer};
//!
//! // For routes with `auth: {hook: weekdays}`.
//! let builder = Gateway::builder().authorizer("weekdays", |request| async move {
//!     if request.header("x-day") == Some("sunday") { Err(bearer::insufficient("day")) } else { Ok(()) }
//! });
//! ```

pub(crate) mod issue_token;
mod registry;
mod request;

pub(crate) use self::registry::{
    Authorizer, Decoder, GeneratesHeaders, HeaderGenerator, Hook, Hooks, PostProcessor, RouteHooks, register,
};
pub use self::request::{Answer, Parts, Request};
pub use crate::auth::{claims::Claims, issuers::own::Session};
