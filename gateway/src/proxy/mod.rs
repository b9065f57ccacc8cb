//! One request, from its head to the last byte of its answer. [`forward`] has the steps in order; each step has a folder
//! or a file of its own.

pub(crate) mod forward;

pub(crate) mod exchange;
pub(crate) mod incoming;

pub(crate) mod accept;
pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod find;
pub(crate) mod identify;
pub(crate) mod send;

mod hook_calls;
pub(crate) mod rehearse;
pub(crate) mod serve;
