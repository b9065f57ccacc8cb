//! Orders and events as JSON: as clients see them, and as other services do, however they get them.

use chassis::{identity::UserId, timestamp::Timestamp, trace::TraceParent};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Event, Order};

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderOut<'a> {
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
    pub(crate) fn new(order: &'a Order) -> Self {
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
pub(crate) struct EventOut<'a> {
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
    pub(crate) fn new(event: &'a Event) -> Self {
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
