//! The three lifetimes: the process, a snapshot of one configuration, and what each worker thread has for itself.

pub(crate) mod process;
pub(crate) mod snapshot;
pub(crate) mod worker;

pub(crate) mod current;
pub(crate) mod thread_local;

pub(crate) mod documents;
