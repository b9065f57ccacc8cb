//! Named functions that a route may call: to read a token, to authorise, to make headers, to change an answer. Whoever
//! embeds the gateway registers them in Rust (see [`Builder`](crate::Builder)); the YAML refers to them by name.

pub(crate) mod issue_token;

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_http::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use bytes::Bytes;
use chassis::{problem::Problem, trace::RequestContext};

use crate::auth::{caller::Caller, issuers::own::Subject, token_issuers::TokenIssuers};

pub use crate::auth::policy::Claims;

/// What a hook returns: it may wait, on the thread of the request. Its problem is the answer; its panic is a 500.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// Finds out who calls, in the place of the bearer token.
pub(crate) type Decoder = Hook<dyn Fn(Request) -> Pending<Claims> + Send + Sync>;
/// Decides whether the caller may, after the claims that the route wants.
pub(crate) type Authorizer = Hook<dyn Fn(Request) -> Pending<()> + Send + Sync>;
/// Makes headers for the upstream.
pub(crate) type HeaderGenerator = Hook<GeneratesHeaders>;
/// Makes the answer for the client from the successful one of the upstream.
pub(crate) type PostProcessor = Hook<dyn Fn(Request, Answer) -> Pending<Answer> + Send + Sync>;

/// What a header generator does, and which headers it may set: those are removed from what the client sends.
pub(crate) struct GeneratesHeaders<F: ?Sized = dyn Fn(Request) -> Pending<Vec<(HeaderName, HeaderValue)>> + Send + Sync>
{
    pub(crate) sets: Vec<HeaderName>,
    pub(crate) run: F,
}

/// A function with the name that the YAML knows it by.
pub(crate) struct Hook<F: ?Sized> {
    pub(crate) name: Arc<str>,
    pub(crate) run: Arc<F>,
}

impl<F: ?Sized> Clone for Hook<F> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), run: Arc::clone(&self.run) }
    }
}

impl<F: ?Sized> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({})", self.name)
    }
}

/// The same function under the same name.
impl<F: ?Sized> PartialEq for Hook<F> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.run, &other.run)
    }
}

/// The hooks of one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteHooks {
    pub(crate) decoder: Option<Decoder>,
    pub(crate) authorizer: Option<Authorizer>,
    pub(crate) headers: Vec<HeaderGenerator>,
    pub(crate) then: Option<PostProcessor>,
}

impl RouteHooks {
    /// Whether there is none, so that nothing has to be prepared for them.
    pub(crate) const fn is_empty(&self) -> bool {
        self.decoder.is_none() && self.authorizer.is_none() && self.headers.is_empty() && self.then.is_none()
    }
}

/// A request as hooks see it. Clones are cheap.
#[derive(Clone)]
pub struct Request {
    parts: Rc<Parts>,
    caller: Option<Rc<Caller>>,
}

/// What does not change while hooks run.
pub struct Parts {
    pub context: RequestContext,
    /// The route as it is written.
    pub route: String,
    pub method: Method,
    /// In normal form, after aliases.
    pub path: String,
    pub query: Option<String>,
    /// As the client sent them: nothing in them is proven.
    pub headers: HeaderMap,
    pub client_ip: IpAddr,
    pub(crate) issuers: Option<TokenIssuers>,
}

impl Request {
    /// A request before its caller is known.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Rc::new(parts), caller: None }
    }

    /// The same request, of this caller.
    #[must_use]
    pub(crate) fn of_caller(self, caller: Option<Rc<Caller>>) -> Self {
        Self { caller, ..self }
    }

    /// The claims of the caller, once known; nobody's on public routes.
    pub fn claims(&self) -> Option<&Claims> {
        self.caller.as_ref().map(|caller| &caller.claims)
    }

    /// Signs an access token for a user, and says for how long it is valid.
    ///
    /// # Errors
    /// 500 where the configuration gives the gateway no key to sign with, or the system gives no randomness.
    pub fn issue_token(&self, user_id: i64, user_type: &str) -> Result<(String, Duration), Problem> {
        let issuer =
            self.issuers.as_ref().ok_or_else(|| Problem::internal("a hook issues tokens, but none are configured"))?;
        issuer.issue(&Subject { id: user_id, user_type }, SystemTime::now())
    }

    /// The value of a header that came exactly once, and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.parts.headers.get_all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            (Some(_) | None, _) => None,
        }
    }
}

impl std::ops::Deref for Request {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// Without those that speak about the connection or the length; the gateway writes them.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Every hook that there is, by kind and name.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    pub(crate) decoders: Vec<Decoder>,
    pub(crate) authorizers: Vec<Authorizer>,
    pub(crate) headers: Vec<HeaderGenerator>,
    pub(crate) post: Vec<PostProcessor>,
}

impl Default for Hooks {
    /// Those that come with the gateway.
    fn default() -> Self {
        let issue_token = Hook::<dyn Fn(Request, Answer) -> Pending<Answer> + Send + Sync> {
            name: issue_token::NAME.into(),
            run: Arc::new(|request, answer| Box::pin(std::future::ready(issue_token::run(&request, &answer)))),
        };
        Self { decoders: Vec::new(), authorizers: Vec::new(), headers: Vec::new(), post: vec![issue_token] }
    }
}

/// Adds a hook; one of the same name gives way, so that what comes with the gateway can be replaced.
pub(crate) fn register<F: ?Sized>(hooks: &mut Vec<Hook<F>>, hook: Hook<F>) {
    hooks.retain(|known| known.name != hook.name);
    hooks.push(hook);
}
