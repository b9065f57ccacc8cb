//! The bodies of requests: read field by field into domain types. What is answered is in [`crate::representation`].

use chassis::{extract::JsonBody, identity::Caller, problem::Problem};
use utoipa::ToSchema;

use crate::domain::{Address, Item, NewOrder, Status};

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
