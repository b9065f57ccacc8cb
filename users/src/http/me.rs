//! The handlers of the caller's own account, under `/api/me`. Nobody needs to be an admin for it, and nobody gets rights
//! by it.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chassis::{
    conditional::IfMatch,
    extract::JsonBody,
    identity::Caller,
    openapi::{IfMatchIn, IfNoneMatchIn},
    page::refuse_unknown_parameters,
    problem::Problem,
};

use super::{
    contract::{self, OwnPatchIn, UserOut},
    error::of_own_account,
    handlers::{answer, show},
    parameters::{
        BodyProblems, ConditionProblems, MalformedProblems, OwnAccountProblems, TakenProblems, WriteProblems,
    },
};
use crate::store::UsersStore;

/// Read your own account.
#[utoipa::path(
    get, path = "/api/me", tag = "users", operation_id = "read_me", params(IfNoneMatchIn),
    responses(
        (status = 200, description = "The caller", body = UserOut, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Not changed since the version in `If-None-Match`"),
        MalformedProblems, OwnAccountProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn read(
    caller: Caller,
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    show(&request, &*store.get(caller.user_id).await.map_err(of_own_account)?)
}

/// Change your own account by a JSON merge patch (RFC 7396): null clears.
///
/// The rights of a user are changed by an admin, and a password by `POST /api/me/password`.
#[utoipa::path(
    patch, path = "/api/me", tag = "users", operation_id = "patch_me", params(IfMatchIn),
    request_body(content((OwnPatchIn = "application/merge-patch+json"), (OwnPatchIn = "application/json"))),
    responses(
        (status = 200, description = "Changed", body = UserOut, headers(("ETag" = String, description = "Its version"))),
        TakenProblems, BodyProblems, ConditionProblems, OwnAccountProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn patch(
    caller: Caller,
    request: HttpRequest,
    body: JsonBody,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    let edit = contract::read_own_patch(body)?;
    let if_match = IfMatch::from_headers(request.headers())?;
    let user = store.update(caller.user_id, if_match, edit).await.map_err(of_own_account)?;
    Ok(answer(&mut HttpResponse::Ok(), &user))
}
