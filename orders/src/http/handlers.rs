//! The handlers. Each has three steps: extract, call the store, answer. What they answer is described here too, for
//! `/openapi.json`.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, http::header, web::Data};
use chassis::{
    conditional::{ETag, IfMatch, is_not_modified},
    extract::{JsonBody, PathId},
    identity::{Admin, Caller},
    openapi::{IfMatchIn, IfNoneMatchIn},
    page::{CursorKey, refuse_unknown_parameters},
    problem::Problem,
    trace::{RequestContext, TraceParent},
};

use super::{
    contract::{self, CreateIn, StatusIn},
    parameters::{
        AdminProblems, BodyProblems, CallerProblems, ChangeProblems, IdIn, InvalidOrderProblems, InvalidStatusProblems,
        KeyIn, ListQuery, MalformedProblems, PageIn, PageProblems, UnknownProblems, WriteProblems, idempotency_key,
    },
};
use crate::{
    domain::{Order, OrderId, Position, Status, StatusChange, Written},
    representation::OrderOut,
    store::OrdersRepo,
};

const ORDERS_PATH: &str = "/api/orders";

/// Create an order.
///
/// It is answered once it is durable on disk. With an `Idempotency-Key` it can be sent again after a failure: it is created
/// once.
#[utoipa::path(
    post, path = "/api/orders", tag = "orders", operation_id = "create_order", request_body = CreateIn, params(KeyIn),
    responses(
        (status = 201, description = "Created, now or by a request with the same key", body = OrderOut, headers(
            ("Location" = String, description = "Where the order is"), ("ETag" = String, description = "Its version"),
            ("Idempotency-Replayed" = String, description = "`true` where it had been created before"))),
        BodyProblems, InvalidOrderProblems, CallerProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn create(
    caller: Caller,
    request: HttpRequest,
    body: JsonBody,
    repo: Data<OrdersRepo>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(request.headers())?;
    let Written { order, is_replay } =
        repo.create(contract::read_create(body, &caller)?, key, trace_of(&request)).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("{ORDERS_PATH}/{}", order.id)));
    if is_replay {
        response.insert_header(("idempotency-replayed", "true"));
    }
    Ok(answer(&mut response, &order))
}

/// List one's own orders, newest first.
///
/// The `Link` to the next page keeps the filters; a cursor is valid with the same filters only.
#[utoipa::path(
    get, path = "/api/orders", tag = "orders", operation_id = "list_orders", params(PageIn),
    responses(
        (status = 200, description = "One page", body = [OrderOut],
            headers(("Link" = String, description = "The next page, `rel=\"next\"`; absent on the last one"))),
        PageProblems, CallerProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    caller: Caller,
    request: HttpRequest,
    repo: Data<OrdersRepo>,
    cursors: Data<CursorKey>,
) -> Result<HttpResponse, Problem> {
    let query = ListQuery::parse(request.query_string(), &caller, &cursors)?;
    let listed = repo.list(query.filter, query.page).await?;
    let mut response = HttpResponse::Ok();
    if listed.has_more
        && let Some(last) = listed.orders.last()
        && let Some(link) = query.next_link(ORDERS_PATH, request.query_string(), Position::of(last), &cursors)
    {
        response.insert_header((header::LINK, link));
    }
    Ok(response.json(listed.orders.iter().map(OrderOut::new).collect::<Vec<_>>()))
}

/// Read an order, as its owner or an admin.
#[utoipa::path(
    get, path = "/api/orders/{order_id}", tag = "orders", operation_id = "read_order", params(IdIn, IfNoneMatchIn),
    responses(
        (status = 200, description = "The order", body = OrderOut, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Not changed since the version in `If-None-Match`"),
        UnknownProblems, MalformedProblems, CallerProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn read(
    caller: Caller,
    id: PathId,
    request: HttpRequest,
    repo: Data<OrdersRepo>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    let order = repo.get(OrderId(id.0)).await?;
    if !order.is_visible_to(&caller) {
        return Err(Problem::not_found());
    }
    if is_not_modified(request.headers(), order.version)? {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag(&order))).finish());
    }
    Ok(answer(&mut HttpResponse::Ok(), &order))
}

/// Cancel an order that is not shipped yet, as its owner or an admin.
#[utoipa::path(
    post, path = "/api/orders/{order_id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(IdIn, IfMatchIn),
    responses(
        (status = 200, description = "Cancelled", body = OrderOut, headers(("ETag" = String, description = "Its version"))),
        UnknownProblems, MalformedProblems, ChangeProblems, CallerProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn cancel(
    caller: Caller,
    id: PathId,
    request: HttpRequest,
    repo: Data<OrdersRepo>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    set_status(caller, id, &request, Status::Cancelled, &repo).await
}

/// Change the status of an order, as an admin.
#[utoipa::path(
    patch, path = "/api/orders/{order_id}", tag = "orders", operation_id = "set_order_status", params(IdIn, IfMatchIn),
    request_body(content((StatusIn = "application/merge-patch+json"), (StatusIn = "application/json"))),
    responses(
        (status = 200, description = "Changed", body = OrderOut, headers(("ETag" = String, description = "Its version"))),
        UnknownProblems, BodyProblems, InvalidStatusProblems, ChangeProblems, AdminProblems, CallerProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn patch(
    Admin(admin): Admin,
    id: PathId,
    request: HttpRequest,
    body: JsonBody,
    repo: Data<OrdersRepo>,
) -> Result<HttpResponse, Problem> {
    set_status(admin, id, &request, contract::read_status(body)?, &repo).await
}

async fn set_status(
    caller: Caller,
    id: PathId,
    request: &HttpRequest,
    status: Status,
    repo: &OrdersRepo,
) -> Result<HttpResponse, Problem> {
    let if_match = IfMatch::from_headers(request.headers())?;
    let change = StatusChange { id: OrderId(id.0), status, caller, if_match, trace: trace_of(request) };
    let order = repo.set_status(change).await?;
    Ok(answer(&mut HttpResponse::Ok(), &order))
}

/// The trace of the request, to be kept with the event that it leads to.
fn trace_of(request: &HttpRequest) -> Option<TraceParent> {
    request.extensions().get::<RequestContext>().and_then(RequestContext::trace_parent)
}

fn etag(order: &Order) -> header::HeaderValue {
    ETag::from_version(order.version).to_header()
}

fn answer(response: &mut HttpResponseBuilder, order: &Order) -> HttpResponse {
    response.insert_header((header::ETAG, etag(order))).json(OrderOut::new(order))
}
