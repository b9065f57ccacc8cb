//! The parameters of the endpoints: as OpenAPI describes them, and the query of a list as it is read. The problems that
//! several endpoints answer are described here too. Knows no handler.

use std::num::ParseIntError;

use actix_web::http::header::HeaderValue;
use chassis::{
    identity::UserId,
    page::{CursorKey, LIMIT_MAX, PageQuery, parameter},
    problem::{Code, Problem},
};
use utoipa::IntoParams;

use crate::domain::{Search, UserFilter};

/// The query of a list: which users are asked for.
pub(super) struct ListQuery {
    pub(super) filter: UserFilter,
    /// The last id of the previous page. The page starts after it, so that users added or deleted meanwhile neither shift
    /// nor repeat an entry.
    pub(super) after: Option<UserId>,
    pub(super) limit: usize,
    query: PageQuery,
}

impl ListQuery {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 where a parameter is wrong or unknown.
    pub(super) fn parse(query: &str, cursors: &CursorKey) -> Result<Self, Problem> {
        let page = PageQuery::parse(query, LIMIT_MAX, &["q", "user_type"])?;
        let filter = UserFilter {
            user_type: parsed(query, "user_type", str::parse)?,
            search: parsed(query, "q", Search::parse)?,
            only_locked: false,
        };
        let after = page.cursor.as_deref().map(|cursor| verify(cursors, &filter, cursor)).transpose()?;
        Ok(Self { filter, after, limit: page.limit, query: page })
    }

    /// The `Link` to the page after the user `last`.
    pub(super) fn next_link(&self, path: &str, query: &str, last: UserId, cursors: &CursorKey) -> Option<HeaderValue> {
        // A cursor is valid for this list only.
        self.query.next_link(path, query, &cursors.sign(&self.filter.to_string(), &last.to_string()))
    }
}

fn parsed<T>(query: &str, name: &str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
    let value = parameter(query, name)?.map(|text| parse(&text)).transpose();
    value.map_err(|error| Problem::new(Code::BadRequest, format!("`{name}` {error}")))
}

fn verify(cursors: &CursorKey, filter: &UserFilter, cursor: &str) -> Result<UserId, Problem> {
    // A cursor with a valid signature has an id; otherwise the service has signed something else.
    cursors.verify(&filter.to_string(), cursor)?.parse().map_err(|error: ParseIntError| Problem::internal(error))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct IdIn {
    user_id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct SessionIdIn {
    /// The `id` of a session, which is the claim `sid` of its access tokens.
    #[param(pattern = "^[A-Za-z0-9_-]{22}$")]
    session_id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters in the OpenAPI document")]
pub(super) struct PageIn {
    /// Maximum number of users.
    #[param(required = false, minimum = 1, maximum = 500, default = 500)]
    limit: u16,
    /// Taken from the `Link` of the previous page.
    #[param(required = false, min_length = 1, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: String,
    /// Only users whose username, e-mail address or full name has this text in it, in any case.
    #[param(required = false, min_length = 1, max_length = 200)]
    q: String,
    /// Only users of this type.
    #[param(required = false, pattern = "^(admin|default)$")]
    user_type: String,
}

chassis::problem_responses! {
    LoginProblems {
        Malformed = 400, "`malformed_json`, or `bad_request` for a query parameter";
        Wrong = 401, "`invalid_credentials`: the username or the password is wrong";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
        Invalid = 422, "`validation_failed`: a field is missing";
        Delayed = 429, "`rate_limited`: too many sign-ins have failed; try again after `Retry-After`";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: try again";
    }
    RefreshProblems {
        Malformed = 400, "`malformed_json`, or `bad_request` for a query parameter";
        Wrong = 401, "`invalid_refresh_token`: unknown or used, or its session has ended; sign in again";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
        Invalid = 422, "`validation_failed`: the field is missing";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: try again";
    }
    AdminProblems {
        Unauthenticated = 401, "`token_missing`, `token_invalid` or `token_expired`";
        Forbidden = 403, "`insufficient_scope`: for admins only; `protected_user` or `last_admin`: not for this user";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: read the current state first";
    }
    ResetProblems {
        Unauthenticated = 401, "`token_missing`, `token_invalid` or `token_expired`";
        Forbidden = 403, "`insufficient_scope`: for admins only; `current_password_required`: this is your own password";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: it may be set or not";
    }
    GuessProblems {
        Delayed = 429, "`rate_limited`: too many wrong passwords; try again after `Retry-After`";
    }
    OwnAccountProblems {
        Unauthenticated = 401, "`token_missing`, `token_invalid` (the account has been deleted, for example) or `token_expired`";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: read the current state first";
    }
    PageProblems {
        BadQuery = 400, "`bad_request`: a parameter is not valid, or another one was given";
    }
    BodyProblems {
        Malformed = 400, "`malformed_json`, or `bad_request` for a malformed condition or a query parameter";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
        Invalid = 422, "`validation_failed`: `errors` names the fields";
    }
    MalformedProblems {
        Malformed = 400, "`bad_request`: the condition is not a list of entity tags, or a query parameter was given";
    }
    UnknownProblems {
        Unknown = 404, "`not_found`";
    }
    ConditionProblems {
        Changed = 412, "`precondition_failed`: the user has changed since";
    }
    TakenProblems {
        Taken = 409, "`username_taken` or `email_taken`";
    }
    WriteProblems {
        Full = 507, "`storage_full`: nothing was changed";
    }
}
