//! The bodies of requests and answers: read field by field into domain types, and users as clients see them.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use chassis::{
    extract::JsonBody,
    fields::{Change, Fields},
    identity::UserId,
    problem::{FieldError, Problem},
    timestamp::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Email, FullName, Method, NewPassword, NewUser, PasswordHash, PasswordPolicy, Plaintext, RefreshToken, Session,
    User, UserAgent, UserEdit, UserName, UserType,
};

/// Where an admin sets a user's password.
const PASSWORD_RESET: &str = "POST /api/users/{user_id}/password";
/// Where users change their own password.
pub(super) const OWN_PASSWORD: &str = "POST /api/me/password";

const CURRENT_PASSWORD: &str = "current_password";

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserOut<'a> {
    /// Never given to another user.
    #[schema(value_type = i64, example = 7)]
    id: UserId,
    #[schema(example = "ann")]
    username: &'a str,
    #[schema(required, example = "ann@example.com")]
    email: Option<&'a str>,
    #[schema(required, example = "Ann Example")]
    full_name: Option<&'a str>,
    #[schema(value_type = UserTypeOut)]
    user_type: &'static str,
    /// The admin who created this user.
    #[schema(required, value_type = Option<i64>, example = 1)]
    created_by: Option<UserId>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
}

impl<'a> UserOut<'a> {
    pub(super) fn new(user: &'a User) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str(),
            email: user.email.as_ref().map(Email::as_str),
            full_name: user.full_name.as_ref().map(FullName::as_str),
            user_type: user.user_type.as_str(),
            created_by: user.created_by,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A name and a password to sign in with. The name may be any text: one that no user can have counts as unknown.
pub(super) struct Login {
    pub(super) username: Option<UserName>,
    pub(super) password: Plaintext,
}

impl Login {
    pub(super) fn read(JsonBody(mut fields): JsonBody) -> Result<Self, Problem> {
        let username = fields.required("username", |text| Ok::<_, Infallible>(UserName::parse(text).ok()));
        let password = fields.required("password", |text| Ok::<_, Infallible>(Plaintext::new(text)));
        let read = username.zip(password).map(|(username, password)| Self { username, password });
        fields.finish(read).map_err(Problem::validation)
    }
}

/// Reads the body of a refresh. The token may be any text: one that cannot be a refresh token counts as unknown.
pub(super) fn read_refresh(JsonBody(mut fields): JsonBody) -> Result<Option<RefreshToken>, Problem> {
    let token = fields.required("refresh_token", |text| Ok::<_, Infallible>(RefreshToken::parse(text)));
    fields.finish(token).map_err(Problem::validation)
}

/// A user to be created, without the hash of its password.
pub(super) struct NewUserFields {
    pub(super) username: UserName,
    pub(super) email: Option<Email>,
    full_name: Option<FullName>,
    user_type: UserType,
}

impl NewUserFields {
    /// The user with the hash of its password.
    pub(super) fn with_hash(self, hashed_password: PasswordHash, created_by: UserId) -> NewUser {
        let Self { username, email, full_name, user_type } = self;
        NewUser { username, email, full_name, user_type, hashed_password, created_by: Some(created_by) }
    }
}

/// Reads a user to be created, and its password.
pub(super) fn read_create(
    JsonBody(mut fields): JsonBody,
    policy: PasswordPolicy,
) -> Result<(NewUserFields, NewPassword), Problem> {
    let username = fields.required("username", UserName::parse);
    let password = fields.required("password", |text| policy.accept(text, username.as_ref()));
    let email = fields.optional("email", Email::parse);
    let full_name = fields.optional("full_name", FullName::parse);
    let user_type = fields.required("user_type", str::parse);
    let user =
        username.zip(user_type).map(|(username, user_type)| NewUserFields { username, email, full_name, user_type });
    fields.finish(user.zip(password)).map_err(Problem::validation)
}

/// Reads a change of the caller's own password: the current one, which may be any text, and the new one.
pub(super) fn read_password_change(
    JsonBody(mut fields): JsonBody,
    policy: PasswordPolicy,
    username: &UserName,
) -> Result<(Plaintext, NewPassword), Problem> {
    let current = fields.required(CURRENT_PASSWORD, |text| Ok::<_, Infallible>(Plaintext::new(text)));
    let new = fields.required("new_password", |text| policy.accept(text, Some(username)));
    fields.finish(current.zip(new)).map_err(Problem::validation)
}

/// The problem for another password than the current one.
pub(super) fn wrong_current_password() -> Problem {
    let error =
        FieldError { pointer: format!("/{CURRENT_PASSWORD}"), detail: "is not the current password".to_owned() };
    Problem::validation(vec![error])
}

/// Reads the password that an admin gives to a user.
pub(super) fn read_password_reset(
    JsonBody(mut fields): JsonBody,
    policy: PasswordPolicy,
    username: &UserName,
) -> Result<NewPassword, Problem> {
    let new = fields.required("new_password", |text| policy.accept(text, Some(username)));
    fields.finish(new).map_err(Problem::validation)
}

/// Reads the body of a PUT: given fields change, absent and null fields stay, as in the Python system.
pub(super) fn read_put(JsonBody(mut fields): JsonBody) -> Result<UserEdit, Problem> {
    let edit = UserEdit {
        username: fields.optional("username", UserName::parse),
        email: keep_if_null(fields.change("email", Email::parse)),
        full_name: keep_if_null(fields.change("full_name", FullName::parse)),
        user_type: fields.optional("user_type", str::parse),
    };
    refuse_password(&mut fields, PASSWORD_RESET);
    fields.finish(Some(edit)).map_err(Problem::validation)
}

/// Reads a JSON merge patch (RFC 7396): null clears an optional field.
pub(super) fn read_patch(JsonBody(mut fields): JsonBody) -> Result<UserEdit, Problem> {
    let user_type = fields.change("user_type", str::parse);
    let user_type = refuse_null(&mut fields, "user_type", user_type);
    let edit = UserEdit { user_type, ..read_profile(&mut fields) };
    refuse_password(&mut fields, PASSWORD_RESET);
    fields.finish(Some(edit)).map_err(Problem::validation)
}

/// Reads a JSON merge patch of the caller's own account, which cannot change its rights.
pub(super) fn read_own_patch(JsonBody(mut fields): JsonBody) -> Result<UserEdit, Problem> {
    let edit = read_profile(&mut fields);
    if fields.contains("user_type") {
        fields.add_error("user_type", "cannot be changed here; an admin calls PATCH /api/users/{user_id}");
    }
    refuse_password(&mut fields, OWN_PASSWORD);
    fields.finish(Some(edit)).map_err(Problem::validation)
}

/// Reads what users may change about themselves.
fn read_profile(fields: &mut Fields) -> UserEdit {
    let username = fields.change("username", UserName::parse);
    UserEdit {
        username: refuse_null(fields, "username", username),
        email: fields.change("email", Email::parse),
        full_name: fields.change("full_name", FullName::parse),
        user_type: None,
    }
}

fn keep_if_null<T>(change: Change<T>) -> Change<T> {
    change.value().map_or(Change::Keep, Change::Set)
}

fn refuse_null<T>(fields: &mut Fields, name: &str, change: Change<T>) -> Option<T> {
    if matches!(change, Change::Clear) {
        fields.add_error(name, "must not be null");
    }
    change.value()
}

/// A password has an endpoint of its own, so that nobody changes it by accident.
fn refuse_password(fields: &mut Fields, endpoint: &str) {
    if fields.contains("password") {
        fields.add_error("password", format!("cannot be changed here; call {endpoint}"));
    }
}

/// The rights of a user.
#[derive(ToSchema)]
#[schema(as = UserType, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes a value in the OpenAPI document")]
pub(super) enum UserTypeOut {
    Admin,
    Default,
}

/// The body of a login.
#[derive(ToSchema)]
#[schema(as = Login)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct LoginIn {
    #[schema(example = "admin")]
    username: String,
    #[schema(format = Password, example = "a")]
    password: String,
}

/// What the gateway answers to a login or a refresh.
#[derive(ToSchema)]
#[schema(as = Token)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct TokenOut {
    /// A JWT, for `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "bearer")]
    token_type: String,
    /// Seconds until the access token expires.
    #[schema(example = 3600)]
    expires_in: u64,
    /// Gets the next access token, once: `POST /api/token/refresh` answers the next refresh token, too.
    #[schema(example = "msa_rt_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v")]
    refresh_token: String,
    /// Seconds until the session ends, unless it is refreshed before.
    #[schema(example = 604_800)]
    refresh_expires_in: u64,
}

/// A session: a place where a user is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionOut<'a> {
    /// The claim `sid` of its access tokens.
    #[schema(example = "xT4kq0pJw3bqVvQm2fYh1A")]
    id: String,
    /// Whether it is the session of this request.
    current: bool,
    /// How the user proved to be this user (RFC 8176).
    #[schema(value_type = [String], example = json!(["pwd"]))]
    methods: Vec<&'static str>,
    /// When the user signed in.
    #[schema(value_type = String, format = DateTime)]
    authenticated_at: Timestamp,
    /// When it was last refreshed, or opened.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends, unless it is refreshed before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What the client said that it is when the user signed in.
    #[schema(required, example = "curl/8.5.0")]
    user_agent: Option<&'a str>,
    /// The address of the client when the user signed in.
    #[schema(required, value_type = Option<String>, example = "192.0.2.7")]
    address: Option<IpAddr>,
}

impl<'a> SessionOut<'a> {
    /// Describes sessions, of which one may be the `current` one.
    pub(super) fn list(sessions: &'a [Arc<Session>], current: Option<&str>) -> Vec<Self> {
        sessions.iter().map(|session| Self::new(session, current)).collect()
    }

    fn new(session: &'a Session, current: Option<&str>) -> Self {
        let id = session.id.to_string();
        Self {
            current: current == Some(&*id),
            id,
            methods: session.methods.iter().copied().map(Method::as_str).collect(),
            authenticated_at: session.authenticated_at,
            last_used_at: session.refreshed_at,
            expires_at: session.expires_at,
            user_agent: session.origin.user_agent.as_ref().map(UserAgent::as_str),
            address: session.origin.address,
        }
    }
}

/// A refresh token to be exchanged.
#[derive(ToSchema)]
#[schema(as = Refresh)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct RefreshIn {
    #[schema(format = Password, example = "msa_rt_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v")]
    refresh_token: String,
}

/// The name to sign in with. Unique, ignoring case and surrounding spaces; without control and invisible characters.
// The pattern has the Basic Multilingual Plane only: validators disagree about how a pattern has other characters.
#[derive(ToSchema)]
#[schema(
    as = Username, min_length = 1, max_length = 64, example = "ann",
    pattern = "^(?=.*\\S)[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]*$",
)]
#[expect(dead_code, reason = "describes a field in the OpenAPI document")]
pub(super) struct UsernameIn(String);

/// An e-mail address. Unique, ignoring case. Those with other characters than ASCII (RFC 6531) are accepted too, up to 254
/// bytes.
#[derive(ToSchema)]
#[schema(as = Email, max_length = 254, pattern = "^[!-?A-~]+@[!-?A-~]+$", example = "ann@example.com")]
#[expect(dead_code, reason = "describes a field in the OpenAPI document")]
pub(super) struct EmailIn(String);

/// A name to show, without control characters.
#[derive(ToSchema)]
#[schema(as = FullName, max_length = 200, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "Ann Example")]
#[expect(dead_code, reason = "describes a field in the OpenAPI document")]
pub(super) struct FullNameIn(String);

/// A user to be created.
#[derive(ToSchema)]
#[schema(as = NewUser)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct CreateIn {
    username: UsernameIn,
    /// At most 71 bytes; not a common password, and not containing the username.
    #[schema(format = Password, example = "a long sentence is easy")]
    password: String,
    email: Option<EmailIn>,
    full_name: Option<FullNameIn>,
    user_type: UserTypeOut,
}

/// The fields of a user that are to change; null ones stay as they are.
#[derive(ToSchema)]
#[schema(as = UserEdit)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct EditIn {
    username: Option<UsernameIn>,
    email: Option<EmailIn>,
    full_name: Option<FullNameIn>,
    user_type: Option<UserTypeOut>,
}

/// The fields of a user that are to change; null clears a field that may be absent.
#[derive(ToSchema)]
#[schema(as = UserPatch)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct PatchIn {
    #[schema(required = false)]
    username: UsernameIn,
    email: Option<EmailIn>,
    full_name: Option<FullNameIn>,
    #[schema(required = false)]
    user_type: UserTypeOut,
}

/// The fields of the caller's own account that are to change; null clears a field that may be absent.
#[derive(ToSchema)]
#[schema(as = OwnPatch)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct OwnPatchIn {
    #[schema(required = false)]
    username: UsernameIn,
    email: Option<EmailIn>,
    full_name: Option<FullNameIn>,
}

/// A change of the caller's own password.
#[derive(ToSchema)]
#[schema(as = PasswordChange)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct PasswordChangeIn {
    #[schema(format = Password, example = "a")]
    current_password: String,
    /// At most 71 bytes; not a common password, and not containing the username.
    #[schema(format = Password, example = "a long sentence is easy")]
    new_password: String,
}

/// A password that an admin gives to a user.
#[derive(ToSchema)]
#[schema(as = PasswordReset)]
#[expect(dead_code, reason = "describes a body in the OpenAPI document")]
pub(super) struct PasswordResetIn {
    /// At most 71 bytes; not a common password, and not containing the username.
    #[schema(format = Password, example = "a long sentence is easy")]
    new_password: String,
}
