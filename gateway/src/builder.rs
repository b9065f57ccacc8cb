//! For those who embed the gateway: registers hooks, then reads the YAML that refers to them. Knows no sockets.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_http::header::{HeaderName, HeaderValue};
use chassis::{
    config::{Lookup, StartError},
    problem::Problem,
};

use crate::{
    auth::policy::Claims,
    config::{self, Config},
    hooks::{Answer, Authorizer, Decoder, GeneratesHeaders, HeaderGenerator, Hooks, PostProcessor, Request, register},
    reload::source::Source,
};

/// The gateway as a library.
///
/// ```no_run
/// # async fn run(settings: gateway::Settings) -> Result<(), chassis::config::StartError> {
/// use chassis::config::environment;
/// use gateway::{Gateway, Server};
/// use gateway::auth::bearer;
///
/// let builder = Gateway::builder().authorizer("owner", |request| async move {
///     let sub = request.claims().and_then(|claims| claims.get("sub")?.as_str());
///     let owns = sub.is_some_and(|sub| request.path.ends_with(sub));
///     if owns { Ok(()) } else { Err(bearer::insufficient("sub")) }
/// });
/// let config = builder.load("gateway.yaml".as_ref(), &environment)?;
/// let server = Server::bind(config, settings)?;
/// server.run_until(chassis::server::shutdown_signal()).await
/// # }
/// ```
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// A gateway with the hooks that come with it.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Collects hooks.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    hooks: Hooks,
}

impl Builder {
    /// Registers what `decoder: NAME` of a route calls: it finds out who calls, in the place of the bearer token. Its
    /// problem (a 401, as a rule) is the answer.
    #[must_use]
    pub fn decoder<F, Fut>(mut self, name: &str, decode: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Claims, Problem>> + 'static,
    {
        let run = Arc::new(move |request| Box::pin(decode(request)) as _);
        register(&mut self.hooks.decoders, Decoder { name: name.into(), run });
        self
    }

    /// Registers what `auth: {hook: NAME}` of a route calls: it decides whether a known caller may. Its problem (a 403,
    /// as a rule) is the answer.
    #[must_use]
    pub fn authorizer<F, Fut>(mut self, name: &str, decide: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Problem>> + 'static,
    {
        let run = Arc::new(move |request| Box::pin(decide(request)) as _);
        register(&mut self.hooks.authorizers, Authorizer { name: name.into(), run });
        self
    }

    /// Registers what `headers_from: NAME` of a route calls: it makes headers for the upstream. Whatever the client
    /// sends under the names in `sets` is removed, and only those names may be set.
    #[must_use]
    pub fn headers<F, Fut>(mut self, name: &str, sets: &[HeaderName], make: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<(HeaderName, HeaderValue)>, Problem>> + 'static,
    {
        let run = move |request| Box::pin(make(request)) as _;
        let run = Arc::new(GeneratesHeaders { sets: sets.to_vec(), run });
        register(&mut self.hooks.headers, HeaderGenerator { name: name.into(), run });
        self
    }

    /// Registers what `then: NAME` of a route calls: it makes the answer for the client from a successful (2xx) one of
    /// the upstream, which is read whole for it. Other answers pass unchanged.
    #[must_use]
    pub fn post<F, Fut>(mut self, name: &str, process: F) -> Self
    where
        F: Fn(Request, Answer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer, Problem>> + 'static,
    {
        let run = Arc::new(move |request, answer| Box::pin(process(request, answer)) as _);
        register(&mut self.hooks.post, PostProcessor { name: name.into(), run });
        self
    }

    /// The YAML at `path`, for [`Server::watching`](crate::Server::watching), which reads it anew when it changes.
    pub fn source(
        &self,
        path: PathBuf,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Source {
        Source::new(path, environment).naming(self.hooks.clone())
    }

    /// Reads the YAML at `path`; names of hooks that were not registered are mistakes.
    ///
    /// # Errors
    /// Every mistake, with its line.
    pub fn load(&self, path: &Path, lookup: Lookup<'_>) -> Result<Config, StartError> {
        config::load_with(path, lookup, &self.hooks)
    }

    /// Reads YAML that is at hand; `name` is what mistakes call it.
    ///
    /// # Errors
    /// Every mistake, with its line.
    pub fn load_text(&self, name: &str, source: &str, lookup: Lookup<'_>) -> Result<Config, StartError> {
        config::load_text_with(name, source, lookup, &self.hooks)
    }
}
