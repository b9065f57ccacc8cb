//! The pages that the gateway answers itself: documentation, keys, health.

use std::sync::Arc;

use actix_http::{
    Response, StatusCode,
    body::BoxBody,
    header::{self, HeaderValue},
};
use chassis::problem::Problem;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa_swagger_ui::Config as SwaggerConfig;

use super::openapi;
use crate::{auth::token_issuers::TokenIssuers, route::Builtin, runtime::worker::Worker, upstream::handle::Upstream};

/// Swagger UI has inline styles and images in `data:` URLs; everything else is served from here.
const DOCS_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// The documentation page; `{{title}}` stands for what the API is called.
const DOCS_PAGE: &str = include_str!("docs.html");
const LOGO: &str = include_str!("../../assets/logo.svg");

/// Answers one of the gateway's own pages.
///
/// # Errors
/// 404 for a file that the documentation page does not have, 503 while draining.
pub(crate) async fn answer(worker: &Worker, page: Builtin, path: &str) -> Result<Response<BoxBody>, Problem> {
    match page {
        Builtin::Live => Ok(worker.snapshot.process.health.live()),
        Builtin::Ready => worker.snapshot.process.health.ready(upstreams(worker)).await,
        Builtin::Jwks => json(&worker.snapshot.issuers.as_ref().map(TokenIssuers::jwks).unwrap_or_default()),
        Builtin::OpenApi => json(&openapi::merged(worker).await),
        Builtin::Docs => swagger(worker, path),
    }
}

/// Returns the state of the upstreams, for people; it does not decide whether the gateway is ready. Addresses are not shown.
fn upstreams(worker: &Worker) -> Map<String, Value> {
    let one = |upstream: &Upstream| (upstream.name().to_owned(), Value::from(upstream.status().summary()));
    Map::from_iter([("upstreams".to_owned(), Value::Object(worker.snapshot.upstreams.iter().map(one).collect()))])
}

fn json(value: &impl Serialize) -> Result<Response<BoxBody>, Problem> {
    let bytes = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(with_type(bytes, "application/json"))
}

fn with_type(bytes: Vec<u8>, media_type: &str) -> Response<BoxBody> {
    let mut response = Response::with_body(StatusCode::OK, BoxBody::new(bytes));
    if let Ok(value) = HeaderValue::from_str(media_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Serves Swagger UI. Its files refer to each other by relative paths, so that the page itself must end with a slash.
fn swagger(worker: &Worker, path: &str) -> Result<Response<BoxBody>, Problem> {
    let paths = &worker.snapshot.config.builtin;
    let root = paths.docs.as_deref().unwrap_or_default();
    let Some(file) = path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) else {
        let mut response = Response::with_body(StatusCode::FOUND, BoxBody::new(()));
        let location = HeaderValue::try_from(format!("{root}/")).map_err(Problem::internal)?;
        response.headers_mut().insert(header::LOCATION, location);
        return Ok(response);
    };
    match file {
        "" | "index.html" => {
            return Ok(docs_file(DOCS_PAGE.replace("{{title}}", &escaped(&paths.title)), "text/html"));
        }
        "logo.svg" => return Ok(docs_file(LOGO.to_owned(), "image/svg+xml")),
        _ => {}
    }
    let openapi = paths.openapi.clone().unwrap_or_default();
    let config = SwaggerConfig::from(openapi).persist_authorization(true).try_it_out_enabled(true).use_base_layout();
    let served =
        utoipa_swagger_ui::serve(file, Arc::new(config)).map_err(|error| Problem::internal(error.to_string()))?;
    let served = served.ok_or_else(Problem::not_found)?;
    Ok(docs_file(served.bytes.into_owned(), &served.content_type))
}

fn docs_file(bytes: impl Into<Vec<u8>>, media_type: &str) -> Response<BoxBody> {
    let mut response = with_type(bytes.into(), media_type);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}

/// Escapes a text for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
