//! Extractors for handlers, which answer with problems: a JSON body, an id in the path.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
};

use actix_http::{Method, header};
use actix_web::{FromRequest, HttpRequest, dev, web};

use crate::{
    fields::{self, Fields},
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
    let value = fields::parse_json(&bytes).map_err(|error| {
        let hint = if bytes.is_empty() {
            "the body is empty; send a JSON object".to_owned()
        } else if bytes.starts_with(fields::BYTE_ORDER_MARK) {
            "the body begins with a byte order mark; send UTF-8 without one".to_owned()
        } else {
            error.to_string()
        };
        Problem::new(Code::MalformedJson, hint)
    })?;
    Fields::from_json(value).map(JsonBody).map_err(Problem::validation)
}

/// 413 for a body over `bytes_max`.
pub fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("the body may have at most {bytes_max} bytes"))
}

/// Accepts JSON in UTF-8, the only encoding of it (RFC 8259, section 8.1). A merge patch says how a resource changes, and
/// so is for PATCH only; other patch formats (RFC 6902) are not known here.
fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let declared = declared.to_ascii_lowercase();
    let mut parts = declared.split(';').map(str::trim);
    let essence = parts.next().unwrap_or("");
    let is_json = match essence {
        "application/json" => true,
        "application/merge-patch+json" => request.method() == Method::PATCH,
        "application/json-patch+json" => false,
        other => other.starts_with("application/") && other.ends_with("+json"),
    };
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset=")).map(|value| value.trim_matches('"'));
    let is_utf8 = charset.is_none_or(|charset| matches!(charset, "utf-8" | "utf8"));
    if is_json && is_utf8 {
        return Ok(());
    }
    let sent = match (essence, charset) {
        ("", _) => "no Content-Type".to_owned(),
        (_, Some(charset)) if is_json => format!("the charset `{charset:.64}`"),
        _ => format!("`{essence:.64}`"),
    };
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
