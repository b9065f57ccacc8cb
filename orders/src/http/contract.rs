//! The bodies of requests and answers: read field by field into domain types, and orders as clients see them.

use chassis::{
    extract::JsonBody,
    identity::{Caller, UserId},
    problem::Problem,
    timestamp::Timestamp,
    trace::TraceParent,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Address, Event, Item, NewOrder, Order, Status};

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
pub(super) struct OrderOut<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "1 Main Street, Springfield")]
    address: &'a str,
    #[schema(example = "a book")]
    item: &'a str,
    /// `pending`, then `confirmed`, `shipped`, `delivered`; `cancelled` from the first two.
    #[schema(example = "pending", pattern = "^(pending|confirmed|shipped|delivered|cancelled)$")]
    status: &'static str,
    /// The id of the user who created it.
    #[schema(value_type = i64, example = 2)]
    created_by: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> OrderOut<'a> {
    pub(super) fn new(order: &'a Order) -> Self {
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

/// An event, in the JSON format of CloudEvents 1.0.
#[derive(Serialize)]
pub(super) struct EventOut<'a> {
    specversion: &'static str,
    /// Unique and increasing.
    id: String,
    source: &'static str,
    r#type: &'static str,
    /// The id of the order.
    subject: String,
    time: Timestamp,
    datacontenttype: &'static str,
    /// The trace of the request for it: an extension, <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md>.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<TraceParent>,
    /// The order after the event.
    data: OrderOut<'a>,
}

impl<'a> EventOut<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        Self {
            specversion: "1.0",
            id: event.id.to_string(),
            source: "/orders",
            r#type: event.kind(),
            subject: event.order.id.to_string(),
            time: event.order.updated_at,
            datacontenttype: "application/json",
            traceparent: event.trace,
            data: OrderOut::new(&event.order),
        }
    }
}

/// Reads the order that `caller` wants to create.
///
/// # Errors
/// 422 with every wrong field.
pub(super) fn read_create(JsonBody(mut fields): JsonBody, caller: &Caller) -> Result<NewOrder, Problem> {
    let address = fields.required("address", Address::parse);
    let item = fields.required("item", Item::parse);
    let order = address.zip(item).map(|(address, item)| NewOrder { address, item, created_by: caller.user_id });
    fields.finish(order).map_err(Problem::validation)
}

/// Reads the state that an order is to come into.
///
/// # Errors
/// 422 where it is none.
pub(super) fn read_status(JsonBody(mut fields): JsonBody) -> Result<Status, Problem> {
    let status = fields.required("status", parse_status);
    fields.finish(status).map_err(Problem::validation)
}

/// # Errors
/// Says which states there are.
pub(super) fn parse_status(name: &str) -> Result<Status, &'static str> {
    Status::from_name(name).ok_or("must be pending, confirmed, shipped, delivered or cancelled")
}

/// The state that an order is to come into.
#[derive(ToSchema)]
#[schema(as = NewStatus)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct StatusIn {
    /// `confirmed`, `shipped` and `delivered` in this order, or `cancelled` before it is shipped.
    #[schema(example = "confirmed", pattern = "^(pending|confirmed|shipped|delivered|cancelled)$")]
    status: String,
}

/// An order to be created.
#[derive(ToSchema)]
#[schema(as = NewOrder)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct CreateIn {
    /// Where the goods are sent; one line or several.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "1 Main Street, Springfield",
        pattern = "^(?=[\\s\\S]*\\S)[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$"
    )]
    address: String,
    /// What is ordered.
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "a book",
        pattern = "^(?=.*\\S)[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    )]
    item: String,
}
