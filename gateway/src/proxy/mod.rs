//! One request, from its head to the last byte of its answer.
//!
//! [`forward`] has the seven steps in order. Each step has a file or a folder of its name: [`accept`], [`find`] (match),
//! [`identify`] (identify, authorize), [`admit`], [`send`], [`answer`]. [`exchange`] is what is known of one request and
//! what every answer carries; [`incoming`] is the request itself.
//!
//! [`serve`] is how actix-http hands requests over, and [`rehearse`] runs the same steps without sending anything, for the
//! commands `explain`, `test` and `plan`. Decisions are not made here: routing, policies, limits and retries are decided in
//! the modules below, which know nothing of each other. This one only calls them in order.
//!
//! The tricky parts: the exchange is counted when it is dropped ([`exchange`]), `Expect: 100-continue` is answered when the
//! body is first read ([`serve::expect`]), and the bytes that are matched are the bytes that are forwarded ([`find`]).

mod exchange;
mod incoming;
mod relay;

mod accept;
mod admit;
mod find;
mod hook_calls;
mod identify;

mod answer;
mod send;

mod forward;
pub(crate) mod rehearse;

pub(crate) mod serve;

pub(crate) use self::forward::handle;
