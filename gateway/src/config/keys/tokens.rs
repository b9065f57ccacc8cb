//! The keys of `tokens`: the gateway's own, and those of external issuers.

use std::{path::PathBuf, time::Duration};

use super::{
    parse,
    shape::{
        Key, Kind, Scalar, Section,
        Shape::{Either, Form, List, Table, Text, Words},
        Subtree, optional, required, section, subtree,
    },
    values::{DURATION, FILE_NAME, PATH, TEXT},
};
use crate::auth::settings::{JwksSource, Unreachable};

/// The values of `typ`; the decoder gives each its meaning.
pub(crate) const TYP_RULES: [&str; 3] = ["at+jwt", "JWT", "any"];

const ISSUER_URL: Kind<Scalar<String>> = Kind { shape: Form("^https?://"), parse: issuer_url };
const UNREACHABLE: Kind<Scalar<Unreachable>> = Kind { shape: Words(&["accept", "refuse"]), parse: unreachable };
const JWKS_SOURCE: Kind<Scalar<JwksSource>> = Kind { shape: Text, parse: jwks_source };

pub(crate) const ISSUER: Key<Scalar<String>> = required("issuer", TEXT, "Claim `iss` of the tokens");
pub(crate) const AUDIENCE: Key<Scalar<String>> = required("audience", TEXT, "Claim `aud` of the tokens");
pub(crate) const AUDIENCE_CLAIM: Key<Scalar<String>> = optional(
    "audience_claim",
    "`aud`",
    TEXT,
    "With `jwks`: the claim that has the audience, for issuers that write none in `aud`: `client_id` for access tokens of Amazon Cognito",
);
pub(crate) const JWKS: Key<Scalar<JwksSource>> = required(
    "jwks",
    JWKS_SOURCE,
    "Where the public keys of the issuer are: an `https://` or `http://` URL, or a file. In `tokens` itself it makes `issuer` an external one, and the gateway issues no tokens",
);
pub(crate) const DISCOVERY: Key<Scalar<String>> = required(
    "discovery",
    ISSUER_URL,
    "In the place of `issuer` and `jwks`: the `https://` or `http://` URL of an issuer whose keys are found by its metadata (OpenID Connect Discovery, RFC 8414). It is also the claim `iss` of the tokens, so that it is written exactly as the issuer does, with or without a slash at its end",
);
pub(crate) const TYP: Key<Subtree> = optional(
    "typ",
    "`at+jwt`",
    subtree(Words(&TYP_RULES)),
    "With `jwks`: the header `typ` that tokens must have. `JWT` accepts that value too; `any` accepts every value, or none",
);
pub(crate) const CA: Key<Scalar<PathBuf>> = optional(
    "ca",
    "the public authorities",
    FILE_NAME,
    "With `jwks`: PEM file of the authority that signed the certificate of its server",
);
pub(crate) const REFRESH: Key<Scalar<Duration>> =
    optional("refresh", "`5m`", DURATION, "With `jwks`: interval between two fetches of the keys");
pub(crate) const WAIT_FOR_KEYS: Key<Scalar<Duration>> = optional(
    "wait_for_keys",
    "`30s`",
    DURATION,
    "With `jwks`: how long after its start the gateway is not ready if the keys have not been fetched. Afterwards it is, and answers tokens of this issuer 503",
);
pub(crate) const OTHER_ISSUERS: Key<Subtree> = optional(
    "other_issuers",
    "none",
    subtree(List(&Either(&[Table(&ExternalIssuerKeys::SECTION), Table(&DiscoveredIssuerKeys::SECTION)]), 0)),
    "External issuers whose tokens are accepted too",
)
.formerly("also");

section! { OwnTokensKeys ("tokens", "How the gateway issues and verifies tokens.") {
    ISSUER;
    AUDIENCE;
    TTL: Scalar<Duration> = optional("ttl", "`60m`", DURATION, "How long a token is valid");
    KEYS: Scalar<String> =
        optional("keys", "none", TEXT, "Folder of the signing keys. Instead, `GATEWAY_JWT_SECRET` can be set");
    PUBLISH_FOR: Scalar<Duration> =
        optional("publish_for", "`10m`", DURATION, "How long a new key is published before it signs");
    SESSIONS: Subtree = optional(
        "sessions",
        "none: a token is accepted until it expires",
        subtree(Table(&SessionsKeys::SECTION)),
        "Where the gateway learns which sessions have ended, so that their tokens are refused",
    );
    OTHER_ISSUERS;
}}

section! { SessionsKeys ("sessions", "Where the gateway learns which sessions have ended.") {
    FROM: Scalar<String> = required("from", TEXT, "The upstream that keeps the sessions");
    PATH: Scalar<String> =
        required("path", PATH, "The path of its feed of ended sessions, which only the gateway reads");
    UNREACHABLE: Scalar<Unreachable> = required(
        "unreachable",
        UNREACHABLE,
        "What becomes of tokens while the feed cannot be read. `accept`: they are accepted, except those of sessions that are known to have ended. `refuse`: they are answered 503 `sessions_unknown`",
    );
    AFTER: Scalar<Duration> = optional(
        "after",
        "`30s`",
        DURATION,
        "How old the last answer of the feed may be until `unreachable` applies; at least `2s`",
    );
}}

section! { ExternalTokensKeys ("external_tokens", "An external issuer of tokens, and possibly more of them.") {
    ISSUER;
    AUDIENCE;
    AUDIENCE_CLAIM;
    JWKS;
    TYP;
    CA;
    REFRESH;
    WAIT_FOR_KEYS;
    OTHER_ISSUERS;
}}

section! { ExternalIssuerKeys ("issuer", "An external issuer whose tokens are accepted.") {
    ISSUER;
    AUDIENCE;
    AUDIENCE_CLAIM;
    JWKS;
    TYP;
    CA;
    REFRESH;
    WAIT_FOR_KEYS;
}}

section! { DiscoveredTokensKeys ("discovered_tokens", "An external issuer of tokens that is found by its URL, and possibly more issuers.") {
    DISCOVERY;
    AUDIENCE;
    AUDIENCE_CLAIM;
    TYP;
    CA;
    REFRESH;
    WAIT_FOR_KEYS;
    OTHER_ISSUERS;
}}

section! { DiscoveredIssuerKeys ("discovered_issuer", "An external issuer that is found by its URL.") {
    DISCOVERY;
    AUDIENCE;
    AUDIENCE_CLAIM;
    TYP;
    CA;
    REFRESH;
    WAIT_FOR_KEYS;
}}

fn issuer_url(text: &str) -> Result<String, String> {
    if is_url(text) { Ok(text.to_owned()) } else { Err(format!("`{text}` is not an http(s) address")) }
}

fn is_url(text: &str) -> bool {
    let uri: Option<actix_http::Uri> = text.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    })
}

fn unreachable(text: &str) -> Result<Unreachable, String> {
    match text {
        "accept" => Ok(Unreachable::Accept),
        "refuse" => Ok(Unreachable::Refuse),
        _ => Err(format!("`{text}` is neither `accept` nor `refuse`")),
    }
}

fn jwks_source(text: &str) -> Result<JwksSource, String> {
    if !text.contains("://") {
        return parse::file_name(text).map(JwksSource::File);
    }
    let uri: Option<actix_http::Uri> = text.parse().ok();
    let is_http = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if is_http {
        Ok(JwksSource::Url(text.to_owned()))
    } else {
        Err(format!("`{text}` is neither an http(s) address nor a file"))
    }
}
