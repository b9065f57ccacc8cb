//! What goes over the wire: the body of a request as an order, an order as the body of an answer, the query of a list.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ETAG, LINK, LOCATION},
};
use chassis::{
    conditional::{ETag, is_not_modified},
    extract::JsonBody,
    identity::{Caller, UserId},
    page::{CursorKey, PageQuery, parameter},
    problem::{Code, Problem},
    timestamp::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Address, Item, Listed, NewOrder, Order, Page, Position};

const LIMIT_DEFAULT: usize = 100;

/// What is needed to make an order. Never built: a body is read field by field, so that every mistake is reported.
#[derive(ToSchema)]
#[schema(as = NewOrder)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct NewOrderBody {
    /// Where the goods go; one line or several.
    #[schema(min_length = 1, max_length = 500, example = "1 Main Street, Springfield")]
    address: String,
    /// What is ordered.
    #[schema(min_length = 1, max_length = 200, example = "a book")]
    item: String,
}

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
pub(super) struct OrderBody<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "1 Main Street, Springfield")]
    address: &'a str,
    #[schema(example = "a book")]
    item: &'a str,
    /// `pending`, then `confirmed`, `shipped`, `delivered`; `cancelled` from the first two.
    #[schema(example = "pending", pattern = "^(pending|confirmed|shipped|delivered|cancelled)$")]
    status: &'static str,
    /// The id of the user who made it.
    #[schema(value_type = i64, example = 2)]
    created_by: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> From<&'a Order> for OrderBody<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            id: order.id.0,
            address: order.address.as_str(),
            item: order.item.as_str(),
            status: order.status.name(),
            created_by: order.created_by,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Reads the order that `caller` wants to make.
///
/// # Errors
/// 422 with every wrong field.
pub(super) fn new_order(caller: &Caller, body: JsonBody) -> Result<NewOrder, Problem> {
    let JsonBody(mut fields) = body;
    let address = fields.required("address", Address::parse);
    let item = fields.required("item", Item::parse);
    let order = address.zip(item).map(|(address, item)| NewOrder { address, item, created_by: caller.user_id });
    fields.finish(order).map_err(Problem::validation)
}

/// What a request for a list asks for: whose orders, and which of them.
pub(super) struct ListQuery {
    pub(super) owner: UserId,
    pub(super) page: Page,
    query: PageQuery,
}

impl ListQuery {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 where a parameter is wrong; 403 where somebody but an admin asks for the orders of another user.
    pub(super) fn parse(query: &str, caller: &Caller, cursors: &CursorKey) -> Result<Self, Problem> {
        let owner = owner(query, caller)?;
        let query = PageQuery::parse(query, LIMIT_DEFAULT)?;
        let after = query.cursor.as_deref().map(|cursor| position(cursors, owner, cursor)).transpose()?;
        Ok(Self { owner, page: Page { after, limit: query.limit }, query })
    }

    /// The orders, and the link to the next page where there are more.
    pub(super) fn answer(&self, request: &HttpRequest, listed: &Listed, cursors: &CursorKey) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(last) = listed.orders.last().filter(|_| listed.has_more) {
            let cursor = cursors.seal(&scope(self.owner), &last.position().to_string());
            if let Some(link) = self.query.link_next("/api/orders", request.query_string(), &cursor) {
                response.insert_header((LINK, link));
            }
        }
        response.json(listed.orders.iter().map(OrderBody::from).collect::<Vec<_>>())
    }
}

fn owner(query: &str, caller: &Caller) -> Result<UserId, Problem> {
    let Some(asked) = parameter(query, "user_id")? else { return Ok(caller.user_id) };
    let asked: UserId =
        asked.parse().map_err(|_| Problem::new(Code::BadRequest, "`user_id` must be the number of a user"))?;
    if caller.is_admin || asked == caller.user_id {
        Ok(asked)
    } else {
        Err(Problem::new(Code::InsufficientScope, "only an admin may list the orders of another user"))
    }
}

/// A cursor is good for the list of one user.
fn scope(owner: UserId) -> String {
    format!("user {owner}")
}

fn position(cursors: &CursorKey, owner: UserId, cursor: &str) -> Result<Position, Problem> {
    let position = cursors.open(&scope(owner), cursor)?;
    Position::parse(&position).ok_or_else(|| Problem::new(Code::BadRequest, "the cursor is from another version"))
}

/// 201 with the order and where it is.
pub(super) fn created(order: &Order) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/orders/{}", order.id)))
        .insert_header((ETAG, ETag::of_version(order.version).to_header()))
        .json(OrderBody::from(order))
}

/// 200 with the order, or 304 where the client has this state of it already.
///
/// # Errors
/// 400 where `If-None-Match` cannot be read.
pub(super) fn shown(request: &HttpRequest, order: &Order) -> Result<HttpResponse, Problem> {
    let etag = (ETAG, ETag::of_version(order.version).to_header());
    if is_not_modified(request.headers(), order.version)? {
        return Ok(HttpResponse::NotModified().insert_header(etag).finish());
    }
    Ok(HttpResponse::Ok().insert_header(etag).json(OrderBody::from(order)))
}
