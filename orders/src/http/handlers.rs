//! The handlers. Each has three steps: extract, call the store, answer. What they answer is described here too, for
//! `/openapi.json`.

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header, web::Data};
use chassis::{
    conditional::{ETag, is_not_modified},
    extract::{JsonBody, PathId},
    identity::Caller,
    openapi::IfNoneMatchIn,
    page::{CursorKey, refuse_unknown_parameters},
    problem::Problem,
};

use super::{
    contract::{self, CreateIn, OrderOut},
    parameters::{
        BodyProblems, CallerProblems, IdIn, ListQuery, MalformedProblems, PageIn, PageProblems, UnknownProblems,
        WriteProblems,
    },
};
use crate::{
    domain::{Order, OrderId, Position},
    store::OrdersRepo,
};

const ORDERS_PATH: &str = "/api/orders";

/// Create an order.
///
/// It is answered once it is durable on disk.
#[utoipa::path(
    post, path = "/api/orders", tag = "orders", operation_id = "create_order", request_body = CreateIn,
    responses(
        (status = 201, description = "Created", body = OrderOut, headers(
            ("Location" = String, description = "Where the order is"), ("ETag" = String, description = "Its version"))),
        BodyProblems, CallerProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn create(caller: Caller, body: JsonBody, repo: Data<OrdersRepo>) -> Result<HttpResponse, Problem> {
    let order = repo.create(contract::read_create(body, &caller)?).await?;
    let location = format!("{ORDERS_PATH}/{}", order.id);
    Ok(answer(HttpResponse::Created().insert_header((header::LOCATION, location)), &order))
}

/// List one's own orders, newest first.
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
    let listed = repo.list(query.owner, query.page).await?;
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

fn etag(order: &Order) -> header::HeaderValue {
    ETag::from_version(order.version).to_header()
}

fn answer(response: &mut HttpResponseBuilder, order: &Order) -> HttpResponse {
    response.insert_header((header::ETAG, etag(order))).json(OrderOut::new(order))
}
