//! The pages that the gateway answers itself: documentation, keys, health. Their paths are configuration; what is below
//! them knows no service.

mod answer;
mod openapi;

pub(crate) use answer::answer;
