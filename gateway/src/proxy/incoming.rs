//! A request as it came in, with what was found out about it.

use std::net::IpAddr;

use actix_http::Request;
use chassis::trace::RequestContext;

use crate::connection::Peer;

/// A request as it came in, with what was found out about it.
pub(crate) struct Incoming {
    pub(crate) request: Request,
    pub(crate) context: RequestContext,
    /// In normal form, after aliases.
    pub(crate) path: String,
    /// It is about the gateway itself: `OPTIONS *`, or it may be forwarded no further.
    pub(crate) is_for_gateway: bool,
    pub(crate) asks_for_websocket: bool,
    pub(crate) peer: Peer,
    pub(crate) client_ip: IpAddr,
}
