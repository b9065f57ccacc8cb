//! The handlers of the caller's own account, under `/api/me`. Nobody needs to be an admin for it, and nobody gets rights
//! by it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chassis::{
    conditional::IfMatch,
    extract::JsonBody,
    identity::{Caller, CallerSession},
    openapi::{IfMatchIn, IfNoneMatchIn},
    page::refuse_unknown_parameters,
    problem::Problem,
};

use super::{
    contract::{self, OwnPatchIn, PasswordChangeIn, UserOut},
    error::{account_is_gone, of_own_account},
    handlers::{answer, rejection, show},
    initiator::By,
    parameters::{
        BodyProblems, ConditionProblems, GuessProblems, MalformedProblems, OwnAccountProblems, TakenProblems,
        WriteProblems,
    },
};
use crate::{
    audit::Event,
    domain::{PasswordPolicy, User},
    passwords::{Passwords, SignIn},
    store::UsersStore,
};

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
    show(&request, &*own_account(&store, &caller).await?)
}

/// The account of the caller, unless it is locked: a token outlives that.
async fn own_account(store: &UsersStore, caller: &Caller) -> Result<Arc<User>, Problem> {
    let user = store.get(caller.user_id).await.map_err(of_own_account)?;
    if user.locked.is_some() { Err(account_is_gone("is locked")) } else { Ok(user) }
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
    (caller, By(initiator)): (Caller, By),
    request: HttpRequest,
    body: JsonBody,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    let edit = contract::read_own_patch(body)?;
    let if_match = IfMatch::from_headers(request.headers())?;
    own_account(&store, &caller).await?;
    let user = store.by(initiator).update(caller.user_id, if_match, edit).await.map_err(of_own_account)?;
    Ok(answer(&mut HttpResponse::Ok(), &user))
}

/// Change your own password.
///
/// A wrong current password counts like a failed login, so that a stolen token does not help to find it by trying. All
/// your other sessions end.
#[utoipa::path(
    post, path = "/api/me/password", tag = "users", operation_id = "change_password", request_body = PasswordChangeIn,
    responses(
        (status = 204, description = "From now on, you sign in with the new password"),
        BodyProblems, GuessProblems, OwnAccountProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn change_password(
    (caller, By(initiator), CallerSession(session)): (Caller, By, CallerSession),
    body: JsonBody,
    store: Data<UsersStore>,
    passwords: Data<Passwords>,
    policy: Data<PasswordPolicy>,
) -> Result<HttpResponse, Problem> {
    let client = initiator.address;
    let user = own_account(&store, &caller).await?;
    let (current, new) = contract::read_password_change(body, **policy, &user.username)?;
    let sign_in = SignIn::new(Some(user.username.folded().clone()), client);
    let verified = passwords.verify(current, Some(user.hashed_password.clone()), sign_in).await;
    if let Some(why) = rejection(&verified) {
        store.audit().note(Event::current_password_rejected(why, &user, initiator.clone()));
    }
    if !verified? {
        return Err(contract::wrong_current_password());
    }
    let hash = passwords.hash(new, client).await?;
    let keep = session.and_then(|id| id.parse().ok());
    let changed = store.by(initiator).change_password(user.id, user.hashed_password.clone(), hash, keep).await;
    changed.map_err(of_own_account)?;
    Ok(HttpResponse::NoContent().finish())
}
