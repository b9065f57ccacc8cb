//! The parameters of the endpoints: as OpenAPI describes them, and the query of a list as it is read. The problems that
//! several endpoints answer are described here too. Knows no handler.

use std::borrow::Cow;

use actix_web::http::header::{HeaderMap, HeaderValue};
use chassis::{
    identity::{Caller, UserId},
    page::{CursorKey, PageQuery, parameter},
    problem::{Code, Problem},
    timestamp::Timestamp,
};
use utoipa::IntoParams;

use super::contract;
use crate::domain::{Filter, IdempotencyKey, PageRequest, Position};

/// Number of orders on a page where the query does not say.
const LIMIT_DEFAULT: usize = 100;

/// The query of a list: which orders, and which page of them.
pub(super) struct ListQuery {
    pub(super) filter: Filter,
    pub(super) page: PageRequest,
    query: PageQuery,
}

impl ListQuery {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 where a parameter is wrong or unknown; 403 where anybody but an admin asks for the orders of another user.
    pub(super) fn parse(query: &str, caller: &Caller, cursors: &CursorKey) -> Result<Self, Problem> {
        let page = PageQuery::parse(query, LIMIT_DEFAULT, &["user_id", "status", "created_after", "created_before"])?;
        let status = parameter(query, "status")?.map(|name| contract::parse_status(&name));
        let filter = Filter {
            owner: owner(query, caller)?,
            status: status.transpose().map_err(|error| bad_request(format!("`status` {error}")))?,
            created_after: time(query, "created_after")?,
            created_before: time(query, "created_before")?,
        };
        let after = page.cursor.as_deref().map(|cursor| verify(cursors, filter, cursor)).transpose()?;
        Ok(Self { filter, page: PageRequest { after, limit: page.limit }, query: page })
    }

    /// The `Link` to the page after the order at `last`.
    pub(super) fn next_link(
        &self,
        path: &str,
        query: &str,
        last: Position,
        cursors: &CursorKey,
    ) -> Option<HeaderValue> {
        // A cursor is valid for this list only.
        self.query.next_link(path, query, &cursors.sign(&self.filter.to_string(), &last.to_string()))
    }
}

fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

fn owner(query: &str, caller: &Caller) -> Result<UserId, Problem> {
    let Some(asked) = parameter(query, "user_id")? else { return Ok(caller.user_id) };
    let asked: UserId = asked.parse().map_err(|_| bad_request("`user_id` must be the id of a user, a number"))?;
    if caller.is_admin || asked == caller.user_id {
        Ok(asked)
    } else {
        Err(Problem::new(Code::InsufficientScope, "only an admin may list the orders of another user"))
    }
}

fn time(query: &str, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = parameter(query, name)? else { return Ok(None) };
    let parsed = text.parse().map_err(|_| {
        // In a query, `+` is a space.
        let hint = if text.contains(' ') { "; write `+` as %2B" } else { "" };
        bad_request(format!("`{name}` must be a time like 2026-01-31T23:59:59Z (RFC 3339){hint}"))
    });
    parsed.map(Some)
}

fn verify(cursors: &CursorKey, filter: Filter, cursor: &str) -> Result<Position, Problem> {
    let position = cursors.verify(&filter.to_string(), cursor)?;
    Position::parse(&position)
        .ok_or_else(|| bad_request("the cursor was made by another version; start again without one"))
}

/// The idempotency key of a request, if it has one.
///
/// # Errors
/// 400 where it is not valid, or repeated.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut fields = headers.get_all("idempotency-key");
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(bad_request("`Idempotency-Key` is given more than once"));
    }
    let parsed = IdempotencyKey::parse(field.to_str().unwrap_or_default());
    parsed.map(Some).map_err(|error| bad_request(format!("`Idempotency-Key` {error}")))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct KeyIn {
    /// Chosen by the client, for example a UUID. A request that is sent again with the same key within 24 hours creates
    /// nothing, and is answered as the first one was.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        example = "8e03978e-40d5-43dd-bc93-6894a57f9324",
        pattern = "^([!#-~]([ !#-~]{0,253}[!#-~])?|\"([ !#-\\[\\]-~]){1,255}\")$"
    )]
    idempotency_key: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct IdIn {
    order_id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters in the OpenAPI document")]
pub(super) struct PageIn {
    /// Maximum number of orders.
    #[param(required = false, minimum = 1, maximum = 500, default = 100)]
    limit: u16,
    /// Taken from the `Link` of the previous page.
    #[param(required = false, min_length = 1, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: String,
    /// For admins: whose orders. Without it, those of the caller.
    #[param(required = false)]
    user_id: i64,
    /// Only orders in this state.
    #[param(required = false, pattern = "^(pending|confirmed|shipped|delivered|cancelled)$")]
    status: String,
    /// Only orders that were created later than this.
    #[param(required = false, format = DateTime)]
    created_after: String,
    /// Only orders that were created earlier than this.
    #[param(required = false, format = DateTime)]
    created_before: String,
}

chassis::problem_responses! {
    CallerProblems {
        Unauthenticated = 401, "`token_missing`, `token_invalid` or `token_expired`";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: read the current state first";
    }
    PageProblems {
        BadQuery = 400, "`bad_request`: a parameter is not valid, or there is none of this name";
        Forbidden = 403, "`insufficient_scope`: the orders of another user are for admins only";
    }
    BodyProblems {
        Malformed = 400, "`malformed_json`, or `bad_request` for a query parameter or a header";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
    }
    InvalidOrderProblems {
        Invalid = 422, "`validation_failed`: `errors` names the fields; `idempotency_key_reused`: the key has created another order";
    }
    InvalidStatusProblems {
        Invalid = 422, "`validation_failed`: there is no such status";
    }
    MalformedProblems {
        Malformed = 400, "`bad_request`: the condition is not a list of entity tags, or a query parameter was given";
    }
    UnknownProblems {
        Unknown = 404, "`not_found`: there is no such order, or it belongs to another user";
    }
    AdminProblems {
        Forbidden = 403, "`insufficient_scope`: for admins only";
    }
    ChangeProblems {
        WrongState = 409, "`wrong_state`: not possible in the state of the order";
        Changed = 412, "`precondition_failed`: the order has changed since the version in `If-Match`";
    }
    WriteProblems {
        Full = 507, "`storage_full`: nothing was changed";
    }
}
