//! The OpenAPI document of this service, which the gateway merges into its own: parameters and problems that several
//! calls share, and the document itself. The calls are described beside their handlers, the bodies in `contract`.

use std::{
    future::{Ready, ready},
    sync::LazyLock,
};

use actix_web::HttpResponse;
use chassis::problem::ProblemBody;
use utoipa::{
    IntoParams, IntoResponses, Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{contract, handlers};

#[derive(OpenApi)]
#[openapi(
    info(title = "users", description = "Accounts: who may sign in, and as what."),
    paths(
        handlers::login, handlers::list, handlers::create, handlers::get, handlers::put, handlers::patch,
        handlers::delete,
    ),
    components(schemas(ProblemBody, contract::UserOut, contract::UserTypeOut)),
    tags((name = "users", description = "Accounts")),
    modifiers(&Bearer),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// Answers `/openapi.json`.
pub(super) fn serve() -> Ready<HttpResponse> {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Api::openapi);
    ready(HttpResponse::Ok().json(&*DOCUMENT))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct IdIn {
    user_id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters in the OpenAPI document")]
pub(super) struct PageIn {
    /// At most so many users.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<u16>,
    /// From the `Link` of the page before.
    cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct IfMatchIn {
    /// Go on only if the user still has one of these versions.
    #[param(rename = "If-Match", example = "\"v1\"")]
    if_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub(super) struct IfNoneMatchIn {
    /// Answer 304 if the user still has one of these versions.
    #[param(rename = "If-None-Match", example = "\"v1\"")]
    if_none_match: Option<String>,
}

/// Groups of problems, for the `responses` of the calls.
macro_rules! problems {
    ($($(#[$doc:meta])* $group:ident { $($name:ident = $status:literal, $description:literal;)+ })+) => {$(
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "describes answers in the OpenAPI document")]
        pub(super) enum $group {$(
            #[response(status = $status, description = $description, content_type = "application/problem+json")]
            $name(ProblemBody),
        )+}
    )+};
}

problems! {
    LoginProblems {
        Malformed = 400, "`malformed_json`";
        Wrong = 401, "`invalid_credentials`: the username or the password is wrong";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
        Invalid = 422, "`validation_failed`: a field is missing";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`";
    }
    AdminProblems {
        Unauthenticated = 401, "`token_missing`, `token_invalid` or `token_expired`";
        Forbidden = 403, "`insufficient_scope`: for admins only; `protected_user` or `last_admin`: not for this user";
        Overloaded = 503, "`overloaded`: try again after `Retry-After`; `outcome_unknown`: read first";
    }
    PageProblems {
        BadQuery = 400, "`bad_request`: `limit` or `cursor` is not valid";
    }
    BodyProblems {
        Malformed = 400, "`malformed_json`, or `bad_request` for a malformed condition";
        TooLarge = 413, "`payload_too_large`";
        MediaType = 415, "`unsupported_media_type`: send JSON";
        Invalid = 422, "`validation_failed`: `errors` names the fields";
    }
    MalformedProblems {
        Malformed = 400, "`bad_request`: the condition is no list of entity tags";
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
