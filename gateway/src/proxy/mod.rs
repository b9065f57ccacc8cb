//! One request, from its head to the last byte of its answer.
//!
//! [`forward`] has the steps in order. Each step has a file or a folder of its name: [`accept`], [`find`], [`identify`],
//! [`admit`], [`send`], [`answer`]. An [`exchange`] is what is known of one request; [`incoming`] is the request itself.
//! [`serve`] is how actix-http hands requests over, and [`rehearse`] runs the same steps without sending anything.

mod forward;

mod exchange;
mod incoming;

mod accept;
mod admit;
mod answer;
mod find;
mod identify;
mod send;

mod hook_calls;
pub(crate) mod rehearse;
pub(crate) mod serve;
