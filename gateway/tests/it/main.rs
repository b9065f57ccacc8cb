//! The gateway from outside: its command line as a process, its listeners over real sockets, before real upstreams.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

mod access_log;
mod addresses;
mod admin;
mod answers;
mod auth;
mod claims;
mod commands;
mod config;
mod connections;
mod corpus;
mod documentation;
mod embedding;
mod external_issuers;
mod fixture;
mod forwarding;
mod hooks;
mod host;
mod http2;
mod kubernetes;
mod limits;
mod live_page;
mod matching;
mod pages;
mod paths;
mod reload;
mod resilience;
mod rotation;
mod schema;
mod sessions;
mod streams;
mod tls;
mod trials;
mod upstream_tls;
mod websocket;
