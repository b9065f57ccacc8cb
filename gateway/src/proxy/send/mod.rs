//! Sends a request to its upstream: composed from what came in ([`compose`], [`headers`], [`assertion`]), then attempted,
//! on another target where that is safe ([`attempts`]).

mod assertion;
pub(super) mod attempts;
pub(super) mod compose;
mod headers;

use std::net::IpAddr;

pub(super) use assertion::statement;

use crate::{
    auth::caller::Caller,
    route::LiveRoute,
    runtime::worker::Worker,
    upstream::{
        handle::{Permit, Upstream},
        wire::client::{Client, Outgoing},
    },
};

/// A request on its way to its upstream.
pub(super) struct Sending<'a> {
    pub(super) worker: &'a Worker,
    pub(super) route: &'a LiveRoute,
    pub(super) upstream: &'a Upstream,
    /// The connections of this worker to the upstream.
    pub(super) client: &'a Client,
    pub(super) outgoing: Outgoing,
    pub(super) caller: Option<&'a Caller>,
    pub(super) client_ip: IpAddr,
    /// The capacity that it takes at the upstream, to the last byte of the answer.
    pub(super) permit: Permit,
}
