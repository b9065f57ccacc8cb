//! A request as it came in, with what was found out about it.

use std::net::IpAddr;

use actix_http::Request;
use chassis::trace::RequestContext;

use crate::connection::Peer;

/// A request as it came in, with what was found out about it.
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) context: RequestContext,
    /// In normal form, after aliases; empty until [`find`](super::find::find) has looked it up.
    pub(super) path: String,
    /// `OPTIONS *`: it asks about the gateway as a whole.
    pub(super) is_for_server: bool,
    /// It must not be forwarded any further.
    pub(super) is_last_hop: bool,
    pub(super) asks_for_websocket: bool,
    pub(super) peer: Peer,
    pub(super) client_ip: IpAddr,
}
