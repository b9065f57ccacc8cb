//! The OpenAPI document of this service, which the gateway merges with those of the others. Endpoints are described
//! beside their handlers, bodies in `contract` and `representation`, parameters and problems in `parameters`.

use std::{
    future::{Ready, ready},
    sync::LazyLock,
};

use actix_web::{HttpResponse, web::Bytes};
use chassis::{openapi::Bearer, problem::ProblemBody};
use utoipa::OpenApi;

use super::handlers;
use crate::representation::OrderOut;

#[derive(OpenApi)]
#[openapi(
    info(title = "orders", description = "Orders: signed-in users create them and see their own."),
    paths(handlers::create, handlers::list, handlers::read, handlers::patch, handlers::cancel),
    components(schemas(ProblemBody, OrderOut)),
    tags((name = "orders", description = "Orders")),
    modifiers(&Bearer),
)]
struct Document;

/// Answers `/openapi.json`.
pub(super) fn serve() -> Ready<HttpResponse> {
    // The document consists of strings and numbers, for which serialisation cannot fail.
    static JSON: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&Document::openapi()).unwrap_or_default().into());
    ready(HttpResponse::Ok().content_type("application/json").body(JSON.clone()))
}
