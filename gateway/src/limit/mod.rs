//! Rate limits. `rate` says what is counted and parses nothing; `local` counts in this process. A limiter that several
//! gateways share will stand beside `local` with the same `admit`.

pub(crate) mod rate;
