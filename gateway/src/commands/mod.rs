//! The command line of the gateway: `cli` has the grammar and calls the commands, each of which has a file of its own.
//!
//! Most commands judge a file without serving it. They decide by the same code as serving does: `explain` and `test` rehearse a
//! request in [`crate::proxy::rehearse`], and `plan` asks the route tables of both files. None of them sends anything, and
//! none makes a key except `keys`.
//!
//! The tricky part is `plan` (`diff`, `route_diff`): it compares what becomes of requests rather than the texts of two files,
//! so that a renamed parameter is no change, and a new route that takes requests from another one is.
//!
//! Exit codes: 0 success · 1 a start, a test or a health check failed · 2 (`plan`) the new file allows more than the old one ·
//! 64 a wrong configuration or command line.

mod args;
mod check;
mod claims;
mod cli;
mod completions;
mod diff;
mod explain;
mod explanation;
mod health;
mod junit;
mod keys;
mod kubernetes;
mod man;
mod output;
mod plan;
mod route_diff;
mod routes;
mod schema;
mod serve;
mod test;
mod test_case;
mod test_result;
mod token;

pub use cli::main;
