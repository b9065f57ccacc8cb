//! The identity of the caller: the only place where the identity headers are spelled. Signs and verifies assertions, and
//! extracts the caller.
//!
//! The gateway sends each service a signed assertion of who calls. A service trusts nothing else, so that a request
//! that did not come through the gateway is refused, whatever headers it has.

use std::{
    fmt,
    future::{Ready, ready},
    net::IpAddr,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    config::Secret,
    problem::{Code, Problem},
};

/// The caller's user id, for services that read nothing else.
pub const USER_ID: HeaderName = HeaderName::from_static("request-user-id");
/// The caller's user type.
pub const USER_TYPE: HeaderName = HeaderName::from_static("request-user-type");
/// The signed assertion of the gateway about the caller.
pub const ASSERTION: HeaderName = HeaderName::from_static("gateway-assertion");

/// The user type that may do everything.
pub const ADMIN: &str = "admin";

/// An HS256 key has at least the size of the hash (RFC 7518, section 3.2).
pub const ASSERTION_KEY_BYTES_MIN: usize = 32;
/// How long an assertion is valid: briefly, so that a stolen one is of little use.
pub const ASSERTION_TTL: Duration = Duration::from_secs(60);

const ISSUER: &str = "gateway";
const TYP: &str = "assertion+jwt";
/// By how much the clocks of two machines may differ.
const LEEWAY_SECONDS: u64 = 5;

/// The id of a user: an integer that is never given to another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct UserId(pub i64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UserId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What the gateway asserts about a request: claims (RFC 7519) that the service named by the audience accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The user id; absent for a request without a signed-in user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The user type at the time of signing in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_type: Option<String>,
    /// The session of the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When the user signed in, in seconds since 1970 (OpenID Connect Core 1.0, section 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// How the user proved to be this user (RFC 8176); empty where the token does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The address of the client as the gateway sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
    #[serde(flatten)]
    assertion: Assertion,
}

/// Signs assertions for one service.
#[derive(Clone)]
pub struct AssertionSigner {
    audience: String,
    key: EncodingKey,
}

impl AssertionSigner {
    /// A signer for the service named `audience`.
    ///
    /// # Errors
    /// Refuses a key that is too short.
    pub fn new(audience: &str, key: &Secret) -> Result<Self, String> {
        let key = EncodingKey::from_secret(key.key(ASSERTION_KEY_BYTES_MIN)?);
        Ok(Self { audience: audience.to_owned(), key })
    }

    /// The value of the [`ASSERTION`] header, valid for [`ASSERTION_TTL`] from `now`.
    ///
    /// # Errors
    /// Fails only if the claims cannot be serialised.
    pub fn sign(&self, assertion: &Assertion, now: SystemTime) -> Result<HeaderValue, Problem> {
        let iat = unix_seconds(now);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: self.audience.clone(),
            iat,
            exp: iat + ASSERTION_TTL.as_secs(),
            assertion: assertion.clone(),
        };
        let header = Header { typ: Some(TYP.to_owned()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key).map_err(Problem::internal)?;
        HeaderValue::try_from(token).map_err(Problem::internal)
    }
}

/// Verifies the assertions made for one service.
#[derive(Clone)]
pub struct AssertionVerifier {
    key: DecodingKey,
    validation: Validation,
}

impl AssertionVerifier {
    /// A verifier for the service named `audience`.
    ///
    /// # Errors
    /// Refuses a key that is too short.
    pub fn new(audience: &str, key: &Secret) -> Result<Self, String> {
        let key = DecodingKey::from_secret(key.key(ASSERTION_KEY_BYTES_MIN)?);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Ok(Self { key, validation })
    }

    /// The assertion of a request.
    ///
    /// # Errors
    /// `assertion_invalid` where it is absent, repeated, invalid, or contradicted by another identity header.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Assertion, Problem> {
        let token = single(headers, &ASSERTION)?.ok_or_else(|| invalid("the request has no gateway-assertion"))?;
        let data = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| invalid("the gateway-assertion is not valid").because(error))?;
        if data.header.typ.as_deref() != Some(TYP) {
            return Err(invalid("the gateway-assertion is a token of another type"));
        }
        let assertion = data.claims.assertion;
        check_agreement(headers, &USER_ID, assertion.sub.as_deref())?;
        check_agreement(headers, &USER_TYPE, assertion.user_type.as_deref())?;
        Ok(assertion)
    }
}

fn invalid(detail: &'static str) -> Problem {
    Problem::new(Code::AssertionInvalid, detail)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| invalid("an identity header is not text")),
        (Some(_), Some(_)) => Err(invalid("an identity header is repeated")),
    }
}

fn check_agreement(headers: &HeaderMap, name: &HeaderName, asserted: Option<&str>) -> Result<(), Problem> {
    match single(headers, name)? {
        Some(value) if Some(value) != asserted => Err(invalid("an identity header contradicts the gateway-assertion")),
        Some(_) | None => Ok(()),
    }
}

/// The names of the headers that only the gateway may set, in all their spellings.
#[derive(Clone, Debug)]
pub struct IdentityHeaders(Vec<String>);

impl IdentityHeaders {
    /// The headers of this module, and `others` from the configuration.
    pub fn new<'a>(others: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut names: Vec<String> = [&USER_ID, &USER_TYPE, &ASSERTION].map(|name| name.as_str().to_owned()).into();
        names.extend(others.into_iter().map(|name| fold(name.as_str()).collect()));
        Self(names)
    }

    /// Whether `name` is an identity header in any spelling. CGI, WSGI and PHP turn `-`, `_` and `.` into the same
    /// character, so that `Request_User_Id` would reach such an upstream as `request-user-id`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.len() == name.len() && fold(name).eq(known.chars()))
    }
}

fn fold(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
}

/// The signed-in user who makes the request, as asserted by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub is_admin: bool,
}

impl Caller {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let extensions = request.extensions();
        let assertion = extensions.get::<Assertion>();
        let sub = assertion.and_then(|assertion| assertion.sub.as_deref());
        let sub = sub.ok_or_else(|| invalid("the gateway-assertion names no caller"))?;
        let user_id =
            sub.parse().map_err(|_| invalid("the caller in the gateway-assertion is not a user of this system"))?;
        let user_type = assertion.and_then(|assertion| assertion.user_type.as_deref());
        Ok(Self { user_id, is_admin: user_type == Some(ADMIN) })
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// The address of the client, as the gateway sees it; `None` where it does not say.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub Option<IpAddr>);

impl FromRequest for ClientAddress {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Assertion>().and_then(|assertion| assertion.client_ip))))
    }
}

/// The session of the caller's access token, as its issuer names it; `None` where there is none.
#[derive(Clone, Debug)]
pub struct CallerSession(pub Option<String>);

impl FromRequest for CallerSession {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Assertion>().and_then(|assertion| assertion.sid.clone()))))
    }
}

/// The gateway, which asks for itself and not for a client: its assertion names neither a caller nor the address of a
/// client, while that of every request that it forwards has the address at least.
#[derive(Clone, Copy, Debug)]
pub struct GatewayItself;

impl FromRequest for GatewayItself {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let is_forwarded = |assertion: &Assertion| assertion.sub.is_some() || assertion.client_ip.is_some();
        ready(match extensions.get::<Assertion>() {
            Some(assertion) if !is_forwarded(assertion) => Ok(Self),
            Some(_) => Err(Problem::new(Code::InsufficientScope, "only the gateway itself may do this")),
            None => Err(invalid("the request has no gateway-assertion")),
        })
    }
}

/// A caller who is an admin: the second level of authorization, inside the service.
#[derive(Clone, Debug)]
pub struct Admin(pub Caller);

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Caller::of(request).and_then(|caller| {
            if caller.is_admin {
                Ok(Self(caller))
            } else {
                Err(Problem::new(Code::InsufficientScope, "only an admin may do this"))
            }
        }))
    }
}

/// Seconds since 1970, as JWTs count.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(fill: &str) -> Secret {
        Secret::new(fill.repeat(ASSERTION_KEY_BYTES_MIN))
    }

    fn signed(audience: &str, key: &Secret, at: SystemTime) -> HeaderMap {
        let assertion = Assertion { sub: Some("7".to_owned()), ..Assertion::default() };
        let mut headers = HeaderMap::new();
        headers.insert(ASSERTION, AssertionSigner::new(audience, key).unwrap().sign(&assertion, at).unwrap());
        headers
    }

    #[test]
    fn a_service_accepts_only_a_fresh_assertion_made_for_it() {
        let verifier = AssertionVerifier::new("users", &key("k")).unwrap();
        let now = SystemTime::now();
        assert_eq!(verifier.verify(&signed("users", &key("k"), now)).unwrap().sub.as_deref(), Some("7"));
        let old = now - ASSERTION_TTL - Duration::from_secs(LEEWAY_SECONDS + 1);
        for (why, headers) in [
            ("another audience", signed("orders", &key("k"), now)),
            ("another key", signed("users", &key("x"), now)),
            ("expired", signed("users", &key("k"), old)),
            ("absent", HeaderMap::new()),
        ] {
            assert_eq!(verifier.verify(&headers).unwrap_err().code(), Code::AssertionInvalid, "{why}");
        }
    }

    #[test]
    fn identity_headers_must_agree_with_the_assertion() {
        let verifier = AssertionVerifier::new("users", &key("k")).unwrap();
        let mut headers = signed("users", &key("k"), SystemTime::now());
        headers.insert(USER_ID, HeaderValue::from_static("7"));
        assert!(verifier.verify(&headers).is_ok());
        headers.append(USER_ID, HeaderValue::from_static("7"));
        assert!(verifier.verify(&headers).is_err(), "repeated");
        headers.insert(USER_ID, HeaderValue::from_static("8"));
        assert!(verifier.verify(&headers).is_err(), "another user");
        headers.remove(USER_ID);
        headers.insert(USER_TYPE, HeaderValue::from_static("admin"));
        assert!(verifier.verify(&headers).is_err(), "a type that is not asserted");
    }

    #[test]
    fn an_unknown_spelling_is_left_alone() {
        let identity = IdentityHeaders::new([]);
        for name in ["request-user-idx", "request-id", "x-request-user-id"] {
            assert!(!identity.contains(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_an_identity_header_is_known(
            upper in proptest::collection::vec(any::<bool>(), 15),
            separators in proptest::collection::vec(prop_oneof![Just('-'), Just('_'), Just('.')], 2),
        ) {
            let mut separators = separators.into_iter();
            let spelled: String = USER_ID.as_str().chars().zip(upper).map(|(c, upper)| match c {
                '-' => separators.next().unwrap_or('-'),
                _ if upper => c.to_ascii_uppercase(),
                _ => c,
            }).collect();
            prop_assert!(IdentityHeaders::new([]).contains(&spelled), "{}", spelled);
        }
    }
}
