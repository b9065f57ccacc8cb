//! The hooks by kind and name, as they are registered, and those that one route names.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix_http::header::{HeaderName, HeaderValue};
use chassis::problem::Problem;

use super::{
    issue_token,
    request::{Answer, Request},
};
use crate::auth::claims::Claims;

/// What a hook returns.
pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// Identifies the caller, instead of the bearer token.
pub(crate) type Decoder = Hook<dyn Fn(Request) -> Pending<Claims> + Send + Sync>;
/// Decides whether the caller is authorized, after the claims that the route requires have been checked.
pub(crate) type Authorizer = Hook<dyn Fn(Request) -> Pending<()> + Send + Sync>;
/// Makes headers for the upstream.
pub(crate) type HeaderGenerator = Hook<GeneratesHeaders>;
/// Makes the answer to the client from a successful one of the upstream.
pub(crate) type PostProcessor = Hook<dyn Fn(Request, Answer) -> Pending<Answer> + Send + Sync>;

/// A header generator and the headers that it may set, which are removed from what the client sends.
pub(crate) struct GeneratesHeaders<F: ?Sized = dyn Fn(Request) -> Pending<Vec<(HeaderName, HeaderValue)>> + Send + Sync>
{
    pub(crate) sets: Vec<HeaderName>,
    pub(crate) run: F,
}

/// A function and the name by which the YAML refers to it.
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
    /// Whether the route has no hooks, so that nothing need be prepared for them.
    pub(crate) const fn is_empty(&self) -> bool {
        self.decoder.is_none() && self.authorizer.is_none() && self.headers.is_empty() && self.then.is_none()
    }
}

/// All registered hooks by kind.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    pub(crate) decoders: Vec<Decoder>,
    pub(crate) authorizers: Vec<Authorizer>,
    pub(crate) headers: Vec<HeaderGenerator>,
    pub(crate) post: Vec<PostProcessor>,
}

impl Default for Hooks {
    /// Returns the hooks that come with the gateway.
    fn default() -> Self {
        let issue_token = Hook::<dyn Fn(Request, Answer) -> Pending<Answer> + Send + Sync> {
            name: issue_token::NAME.into(),
            run: Arc::new(|request, answer| Box::pin(std::future::ready(issue_token::run(&request, &answer)))),
        };
        Self { decoders: Vec::new(), authorizers: Vec::new(), headers: Vec::new(), post: vec![issue_token] }
    }
}

/// Adds a hook and replaces one of the same name, also one that comes with the gateway.
pub(crate) fn register<F: ?Sized>(hooks: &mut Vec<Hook<F>>, hook: Hook<F>) {
    hooks.retain(|known| known.name != hook.name);
    hooks.push(hook);
}
