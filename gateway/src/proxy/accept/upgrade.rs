//! Recognises requests for another protocol (RFC 9110, section 7.8), and refuses those whose body the parser overlooks.

use actix_http::{
    Method, RequestHead, Version,
    header::{self, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};
use chassis::problem::{Code, Problem};

/// Whether a request asks for a WebSocket (RFC 6455, section 4.1). HTTP/1.0 cannot (RFC 9110, section 7.8).
pub(crate) fn asks_for_websocket(head: &RequestHead) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && names(&head.headers, &header::UPGRADE, "websocket")
        && names(&head.headers, &header::CONNECTION, "upgrade")
        && !has_body(&head.headers)
}

fn names(headers: &HeaderMap, field: &header::HeaderName, option: &str) -> bool {
    let values = headers.get_all(field).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(option))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Refuses what the parser of the server reads wrongly: with `Upgrade: websocket` it overlooks the length of a body, so
/// that the body would be taken for what follows.
pub(crate) fn refuse_hidden_body(head: &RequestHead) -> Result<(), Problem> {
    let mut upgrades = head.headers.get_all(header::UPGRADE).map(|value| value.as_bytes().trim_ascii());
    let overlooked = upgrades.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    if overlooked && !head.headers.contains_key(TRANSFER_ENCODING) && has_body(&head.headers) {
        return Err(Problem::new(Code::BadRequest, "a request that asks for a WebSocket has no body"));
    }
    Ok(())
}
