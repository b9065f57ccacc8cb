//! What the OpenAPI documents of all services have in common: the bearer token, conditional headers, and groups of problems
//! as responses.

use utoipa::{
    IntoParams, Modify,
    openapi::{
        OpenApi,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

/// Adds the security scheme `bearer` to a document: clients send a bearer token (RFC 6750) to the gateway, which then
/// asserts to the service whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// The header `If-Match` (RFC 9110, section 13.1.1), as [`conditional`](crate::conditional) reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub struct IfMatchIn {
    /// Proceed only if the resource still has one of these versions.
    #[param(
        rename = "If-Match",
        required = false,
        example = "\"v1\"",
        pattern = "^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$"
    )]
    if_match: String,
}

/// The header `If-None-Match` (RFC 9110, section 13.1.2), as [`conditional`](crate::conditional) reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a parameter in the OpenAPI document")]
pub struct IfNoneMatchIn {
    /// Answer 304 if the resource still has one of these versions.
    #[param(
        rename = "If-None-Match",
        required = false,
        example = "\"v1\"",
        pattern = "^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$"
    )]
    if_none_match: String,
}

/// Declares groups of problems for the `responses` of endpoints. Each group becomes a type that derives
/// `utoipa::IntoResponses`; each line is a status and what it means.
///
/// ```
/// chassis::problem_responses! {
///     UnknownProblems {
///         NotFound = 404, "`not_found`: there is no such user";
///     }
/// }
/// ```
#[macro_export]
macro_rules! problem_responses {
    ($($(#[$doc:meta])* $group:ident { $($name:ident = $status:literal, $description:literal;)+ })+) => {$(
        $(#[$doc])*
        #[derive(::utoipa::IntoResponses)]
        #[expect(dead_code, reason = "describes responses in the OpenAPI document")]
        pub(super) enum $group {$(
            #[response(status = $status, description = $description, content_type = "application/problem+json")]
            $name($crate::problem::ProblemBody),
        )+}
    )+};
}
