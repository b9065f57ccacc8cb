//! The handlers of logins, and of users as admins manage them. Each has three steps: extract, call the store, answer.
//! What they answer is described here too, for `/openapi.json`.

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header, web::Data};
use chassis::{
    conditional::{ETag, IfMatch, is_not_modified},
    extract::{JsonBody, PathId},
    identity::{Admin, UserId},
    openapi::{IfMatchIn, IfNoneMatchIn},
    page::{CursorKey, refuse_unknown_parameters},
    problem::{Code, Problem},
};

use super::{
    contract::{self, CreateIn, EditIn, Login, LoginIn, PasswordResetIn, PatchIn, TokenOut, UserOut},
    initiator::By,
    parameters::{
        AdminProblems, BodyProblems, ConditionProblems, IdIn, ListQuery, LoginProblems, MalformedProblems, PageIn,
        PageProblems, ResetProblems, TakenProblems, UnknownProblems, WriteProblems,
    },
    sessions,
};
use crate::{
    audit::{Account, Event, Rejection},
    domain::{Origin, PasswordPolicy, User, UserAgent, UserEdit},
    passwords::{Passwords, PasswordsError, SignIn},
    store::{StoreError, UsersStore},
};

const USERS_PATH: &str = "/api/users";
const TOTAL_COUNT: &str = "x-total-count";

/// Sign in.
///
/// An unknown username and a wrong password get the same answer. (This service answers with the user and the session that
/// the sign-in has opened; the gateway makes the access token.)
#[utoipa::path(
    post, path = "/api/login", tag = "users", operation_id = "login",
    request_body = LoginIn, security(()),
    responses((status = 201, description = "Signed in", body = TokenOut), LoginProblems, WriteProblems),
)]
pub(super) async fn login(
    (By(initiator), request): (By, HttpRequest),
    body: JsonBody,
    store: Data<UsersStore>,
    passwords: Data<Passwords>,
) -> Result<HttpResponse, Problem> {
    let client = initiator.address;
    let Login { username, password } = Login::read(body)?;
    let account = username.map(|username| username.folded().clone());
    let user = match account.clone() {
        Some(account) => store.find_by_name(account).await?,
        None => None,
    };
    // A locked user counts as unknown, and costs the same work.
    let hash = user.as_ref().filter(|user| user.locked.is_none()).map(|user| user.hashed_password.clone());
    let verified = passwords.verify(password.clone(), hash, SignIn::new(account.clone(), client)).await;
    if let Some(why) = rejection(&verified) {
        let name = || account.map(|name| store.audit().unknown(name.as_str()));
        let account = user.as_deref().map(Account::from).or_else(name);
        store.audit().note(Event::sign_in_rejected(why, account, initiator.clone()));
    }
    let is_right = verified?;
    let user = user.filter(|_| is_right).ok_or_else(wrong_credentials)?;
    let rehashed = passwords.rehash(&password, &user.hashed_password, client).await;
    let user_agent = request.headers().get(header::USER_AGENT).map(|value| UserAgent::new(value.as_bytes()));
    let opened = store.by(initiator).open_session(user, rehashed, Origin { user_agent, address: client }).await;
    opened.map(|grant| sessions::answer(&grant)).map_err(|error| match error {
        // While the password was verified, the user was deleted or locked, or got another password.
        StoreError::Refused(_) => wrong_credentials(),
        StoreError::Fault(fault) => fault.into(),
    })
}

/// Why a password was not accepted, where the client is to blame.
pub(super) const fn rejection(verified: &Result<bool, PasswordsError>) -> Option<Rejection> {
    match verified {
        Ok(true) | Err(PasswordsError::Overloaded | PasswordsError::Failed(_)) => None,
        Ok(false) => Some(Rejection::Wrong),
        Err(PasswordsError::TooManyGuesses(_)) => Some(Rejection::Delayed),
    }
}

/// The same answer for an unknown name and a wrong password.
fn wrong_credentials() -> Problem {
    Problem::new(Code::InvalidCredentials, "the username or the password is wrong")
}

/// List users, by id.
///
/// There is no total with `q`: to count, each page would look at every user.
#[utoipa::path(
    get, path = "/api/users", tag = "users", operation_id = "list_users", params(PageIn),
    responses(
        (status = 200, description = "One page", body = [UserOut], headers(
            ("Link" = String, description = "The next page, `rel=\"next\"`; absent on the last one"),
            ("X-Total-Count" = u64, description = "The number of users on all pages; absent with `q`"))),
        PageProblems, AdminProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    _admin: Admin,
    request: HttpRequest,
    store: Data<UsersStore>,
    cursors: Data<CursorKey>,
) -> Result<HttpResponse, Problem> {
    let query = ListQuery::parse(request.query_string(), &cursors)?;
    // One more than asked for tells whether there is a next page.
    let mut users = store.list(&query.filter, query.after, query.limit + 1).await?;
    let has_more = users.len() > query.limit;
    users.truncate(query.limit);
    let mut response = HttpResponse::Ok();
    if query.filter.search.is_none() {
        response.insert_header((TOTAL_COUNT, store.count(query.filter.user_type).await?));
    }
    if has_more
        && let Some(last) = users.last()
        && let Some(link) = query.next_link(USERS_PATH, request.query_string(), last.id, &cursors)
    {
        response.insert_header((header::LINK, link));
    }
    Ok(response.json(users.iter().map(|user| UserOut::new(user)).collect::<Vec<_>>()))
}

/// Create a user.
///
/// A name or address that is taken is refused before the password is hashed, which takes about a quarter of a second of
/// a core; the store decides again at the end.
#[utoipa::path(
    post, path = "/api/users", tag = "users", operation_id = "create_user", request_body = CreateIn,
    responses(
        (status = 201, description = "Created", body = UserOut, headers(
            ("Location" = String, description = "Where the user is"), ("ETag" = String, description = "Its version"))),
        TakenProblems, BodyProblems, AdminProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn create(
    (Admin(caller), By(initiator)): (Admin, By),
    body: JsonBody,
    store: Data<UsersStore>,
    passwords: Data<Passwords>,
    policy: Data<PasswordPolicy>,
) -> Result<HttpResponse, Problem> {
    let (new, password) = contract::read_create(body, **policy)?;
    store.check_available(new.username.clone(), new.email.clone()).await?;
    let hash = passwords.hash(password, initiator.address).await?;
    let user = store.by(initiator).create(new.with_hash(hash, caller.user_id)).await?;
    let location = format!("{USERS_PATH}/{}", user.id);
    Ok(answer(HttpResponse::Created().insert_header((header::LOCATION, location)), &user))
}

/// Read a user.
#[utoipa::path(
    get, path = "/api/users/{user_id}", tag = "users", operation_id = "read_user", params(IdIn, IfNoneMatchIn),
    responses(
        (status = 200, description = "The user", body = UserOut, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "Not changed since the version in `If-None-Match`"),
        UnknownProblems, MalformedProblems, AdminProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn read(
    _admin: Admin,
    id: PathId,
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    show(&request, &*store.get(UserId(id.0)).await?)
}

/// Change the given fields of a user; absent and null fields stay as they are. With another `user_type`, its sessions end.
#[utoipa::path(
    put, path = "/api/users/{user_id}", tag = "users", operation_id = "put_user", params(IdIn, IfMatchIn),
    request_body = EditIn,
    responses(
        (status = 200, description = "Changed", body = UserOut, headers(("ETag" = String, description = "Its version"))),
        UnknownProblems, TakenProblems, BodyProblems, ConditionProblems, AdminProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn put(
    (_, By(initiator)): (Admin, By),
    id: PathId,
    request: HttpRequest,
    body: JsonBody,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    update(id, &request, contract::read_put(body)?, &store.by(initiator)).await
}

/// Change a user by a JSON merge patch (RFC 7396): null clears. With another `user_type`, its sessions end.
#[utoipa::path(
    patch, path = "/api/users/{user_id}", tag = "users", operation_id = "patch_user", params(IdIn, IfMatchIn),
    request_body(content((PatchIn = "application/merge-patch+json"), (PatchIn = "application/json"))),
    responses(
        (status = 200, description = "Changed", body = UserOut, headers(("ETag" = String, description = "Its version"))),
        UnknownProblems, TakenProblems, BodyProblems, ConditionProblems, AdminProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn patch(
    (_, By(initiator)): (Admin, By),
    id: PathId,
    request: HttpRequest,
    body: JsonBody,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    update(id, &request, contract::read_patch(body)?, &store.by(initiator)).await
}

async fn update(
    id: PathId,
    request: &HttpRequest,
    edit: UserEdit,
    store: &UsersStore,
) -> Result<HttpResponse, Problem> {
    let if_match = IfMatch::from_headers(request.headers())?;
    let user = store.update(UserId(id.0), if_match, edit).await?;
    Ok(answer(&mut HttpResponse::Ok(), &user))
}

/// Set the password of a user.
///
/// Admins change their own by `POST /api/me/password`, which asks for the current one. All sessions of the user end.
#[utoipa::path(
    post, path = "/api/users/{user_id}/password", tag = "users", operation_id = "reset_password", params(IdIn),
    request_body = PasswordResetIn,
    responses(
        (status = 204, description = "The user signs in with the new password only"),
        UnknownProblems, BodyProblems, ResetProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn reset_password(
    (Admin(caller), By(initiator), id): (Admin, By, PathId),
    body: JsonBody,
    store: Data<UsersStore>,
    passwords: Data<Passwords>,
    policy: Data<PasswordPolicy>,
) -> Result<HttpResponse, Problem> {
    let id = UserId(id.0);
    if id == caller.user_id {
        let detail = format!("your own password is changed by {}", contract::OWN_PASSWORD);
        return Err(Problem::new(Code::CurrentPasswordRequired, detail));
    }
    let user = store.get(id).await?;
    let password = contract::read_password_reset(body, **policy, &user.username)?;
    let hash = passwords.hash(password, initiator.address).await?;
    store.by(initiator).reset_password(id, hash).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Delete a user. Its sessions end, and its id is never given to another one.
#[utoipa::path(
    delete, path = "/api/users/{user_id}", tag = "users", operation_id = "delete_user", params(IdIn, IfMatchIn),
    responses(
        (status = 204, description = "Deleted"),
        UnknownProblems, MalformedProblems, ConditionProblems, AdminProblems, WriteProblems,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn delete(
    (_, By(initiator)): (Admin, By),
    id: PathId,
    request: HttpRequest,
    store: Data<UsersStore>,
) -> Result<HttpResponse, Problem> {
    refuse_unknown_parameters(request.query_string(), &[])?;
    store.by(initiator).delete(UserId(id.0), IfMatch::from_headers(request.headers())?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Answers with a user, unless the client has this version already.
pub(super) fn show(request: &HttpRequest, user: &User) -> Result<HttpResponse, Problem> {
    if is_not_modified(request.headers(), user.version)? {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag(user))).finish());
    }
    Ok(answer(&mut HttpResponse::Ok(), user))
}

fn etag(user: &User) -> header::HeaderValue {
    ETag::from_version(user.version).to_header()
}

pub(super) fn answer(response: &mut HttpResponseBuilder, user: &User) -> HttpResponse {
    response.insert_header((header::ETAG, etag(user))).json(UserOut::new(user))
}
