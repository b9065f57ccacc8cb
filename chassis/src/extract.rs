//! Extractors for handlers, which answer with problems: a JSON body, an id in the path.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
};

use actix_http::header;
use actix_web::{FromRequest, HttpRequest, dev, web};
use serde_json::Value;

use crate::{
    fields::Fields,
    page::refuse_unknown_parameters,
    problem::{Code, Problem},
};

/// Maximum size of a JSON body. A body with every field at its maximum has a few KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A JSON body, read field by field. A request with a body has no query parameters.
#[derive(Debug)]
pub struct JsonBody(pub Fields);

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let checked = check_media_type(request).and_then(|()| refuse_unknown_parameters(request.query_string(), &[]));
        let body = web::Payload::from_request(request, payload);
        Box::pin(async move {
            checked?;
            let body = body.await.map_err(|error| Problem::internal(error.to_string()))?;
            read_json(body).await
        })
    }
}

async fn read_json(body: web::Payload) -> Result<JsonBody, Problem> {
    let bytes = body.to_bytes_limited(BODY_BYTES_MAX).await.map_err(|_| too_large(BODY_BYTES_MAX))?;
    let bytes = bytes.map_err(|error| Problem::new(Code::BadRequest, format!("the body cannot be read: {error}")))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let hint =
            if bytes.is_empty() { "the body is empty; send a JSON object".to_owned() } else { error.to_string() };
        Problem::new(Code::MalformedJson, hint)
    })?;
    Fields::from_json(value).map(JsonBody).map_err(Problem::validation)
}

/// 413 for a body over `bytes_max`.
pub fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("the body may have at most {bytes_max} bytes"))
}

fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = declared.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let sent = if essence.is_empty() { "no Content-Type".to_owned() } else { format!("`{essence}`") };
    Err(Problem::new(
        Code::UnsupportedMediaType,
        format!("send `Content-Type: application/json`, not {sent} (with curl: -H 'Content-Type: application/json')"),
    ))
}

/// The id in the path of a resource, an integer. Anything else names no resource and is answered 404.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub i64);

impl FromRequest for PathId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let text = request.match_info().get("id").unwrap_or_default();
        // A resource has one path only: `007` and `+7` are not 7.
        let id = text.parse::<i64>().ok().filter(|id| id.to_string() == text);
        ready(id.map(Self).ok_or_else(Problem::not_found))
    }
}
