//! The OpenAPI document of this service, which the gateway merges with those of the others. Endpoints are described
//! beside their handlers, bodies in `contract`, parameters and problems in `parameters`.

use std::{
    future::{Ready, ready},
    sync::LazyLock,
};

use actix_web::{HttpResponse, web::Bytes};
use chassis::{openapi::Bearer, problem::ProblemBody};
use utoipa::OpenApi;

use super::{contract, handlers, me, sessions};

#[derive(OpenApi)]
#[openapi(
    info(title = "users", description = "Accounts: who may sign in, and as what."),
    paths(
        handlers::login, handlers::list, handlers::create, handlers::read, handlers::put, handlers::patch,
        handlers::delete, handlers::reset_password, me::read, me::patch, me::change_password, sessions::refresh,
        sessions::logout, sessions::list, sessions::end, sessions::list_of_user, sessions::end_of_user,
    ),
    components(schemas(ProblemBody, contract::UserOut, contract::UserTypeOut)),
    tags((name = "users", description = "Accounts"), (name = "sessions", description = "Staying signed in")),
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
