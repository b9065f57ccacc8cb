//! The pages that the gateway answers itself: documentation, keys, health.

mod answer;
mod openapi;

pub(crate) use answer::answer;
