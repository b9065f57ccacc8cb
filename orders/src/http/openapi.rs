//! The description of this API, which the gateway merges with those of the other services.

use actix_web::{HttpResponse, web};
use chassis::problem::{FieldError, ProblemBody};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{contract, handlers};

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders", description = "Orders: signed-in users make them and see their own."),
    paths(handlers::create, handlers::list, handlers::read),
    components(schemas(contract::NewOrderBody, contract::OrderBody<'static>, ProblemBody, FieldError)),
    modifiers(&Bearer),
    tags((name = "orders", description = "Orders")),
)]
struct Document;

/// The gateway takes a bearer token (RFC 6750), and asserts to this service whose it is.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The document as it is answered.
pub(super) struct Json(web::Bytes);

/// Writes the document, once for all workers.
pub(super) fn document() -> Json {
    // It consists of texts and numbers, for which serialisation cannot fail.
    Json(serde_json::to_vec(&Document::openapi()).unwrap_or_default().into())
}

/// Answers `/openapi.json`.
pub(super) async fn show(document: web::Data<Json>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}
