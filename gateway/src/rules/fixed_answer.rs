//! The answer that a route gives to every request, without an upstream. Knows no requests.

use actix_http::{
    Response, StatusCode,
    body::BoxBody,
    header::{CONTENT_TYPE, HeaderValue},
};
use bytes::Bytes;

/// An answer as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FixedAnswer {
    pub(crate) status: StatusCode,
    /// Of the body; an answer without one does not have it.
    pub(crate) content_type: HeaderValue,
    /// Shared by all requests: copying it costs a counter.
    pub(crate) body: Bytes,
}

impl FixedAnswer {
    /// Makes the response to one request.
    pub(crate) fn to_response(&self) -> Response<BoxBody> {
        let mut response = Response::with_body(self.status, BoxBody::new(self.body.clone()));
        if !self.body.is_empty() {
            response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        }
        response
    }
}
