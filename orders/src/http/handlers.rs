//! The handlers: each extracts, calls the store and answers. What they answer is described here too, for `/openapi.json`.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chassis::{
    extract::{JsonBody, PathId},
    identity::Caller,
    page::CursorKey,
    problem::{Problem, ProblemBody},
};

use super::contract::{self, ListQuery, NewOrderBody, OrderBody};
use crate::{domain::OrderId, store::OrdersRepo};

/// Makes an order.
///
/// It is answered when it is durable on disk.
#[utoipa::path(
    post, path = "/api/orders", tag = "orders", operation_id = "create_order", security(("bearer" = [])),
    request_body(content = NewOrderBody, content_type = "application/json"),
    responses(
        (status = 201, description = "The order", body = OrderBody<'static>,
            headers(("Location" = String, description = "Where the order is"), ("ETag" = String))),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "Not signed in", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Another media type", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Wrong fields", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Overloaded, or the outcome is unknown", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 507, description = "The storage is full", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(repo: Data<OrdersRepo>, caller: Caller, body: JsonBody) -> Result<HttpResponse, Problem> {
    let order = repo.create(contract::new_order(&caller, body)?).await?;
    Ok(contract::created(&order))
}

/// Lists one's own orders, newest first.
#[utoipa::path(
    get, path = "/api/orders", tag = "orders", operation_id = "list_orders", security(("bearer" = [])),
    params(
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 500, description = "At most so many; 100 if left out"),
        ("cursor" = Option<String>, Query, description = "Where the page before ended, from its `Link`"),
        ("user_id" = Option<i64>, Query, description = "For admins: whose orders"),
    ),
    responses(
        (status = 200, description = "The orders", body = Vec<OrderBody<'static>>,
            headers(("Link" = String, description = "The next page, where there are more (RFC 8288)"))),
        (status = 400, description = "A wrong parameter", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "Not signed in", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The orders of another user", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Overloaded", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    repo: Data<OrdersRepo>,
    cursors: Data<CursorKey>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = ListQuery::parse(request.query_string(), &caller, &cursors)?;
    let listed = repo.list(query.owner, query.page).await?;
    Ok(query.answer(&request, &listed, &cursors))
}

/// Shows an order to its owner or an admin.
#[utoipa::path(
    get, path = "/api/orders/{order_id}", tag = "orders", operation_id = "read_order", security(("bearer" = [])),
    params(
        ("order_id" = i64, Path, description = "The number of the order"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state that is known already"),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>, headers(("ETag" = String))),
        (status = 304, description = "It has not changed"),
        (status = 400, description = "A malformed `If-None-Match`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, description = "Not signed in", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such order, or another user's", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Overloaded", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn read(
    repo: Data<OrdersRepo>,
    caller: Caller,
    id: PathId,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let order = repo.get(OrderId(id.0)).await?;
    if !order.is_visible_to(&caller) {
        return Err(Problem::not_found());
    }
    contract::shown(&request, &order)
}
