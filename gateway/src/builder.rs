//! The builder for programs that embed the gateway: registers hooks, and loads YAML that refers to them. Knows no sockets.

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
    auth::claims::Claims,
    config::{self, Config},
    hooks::{Answer, Authorizer, Decoder, GeneratesHeaders, HeaderGenerator, Hooks, PostProcessor, Request, register},
    reload::source::Source,
};

/// The gateway as a library: where a program that embeds it begins.
///
/// ```
/// let builder = gateway::Gateway::builder();
/// ```
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Returns a builder with the hooks that come with the gateway (`issue-token`).
    ///
    /// ```
    /// let lookup = |name: &str| (name == "GATEWAY_JWT_SECRET").then(|| "0123456789abcdef0123456789abcdef".to_owned());
    /// let yaml = "
    /// version: 1
    /// listen: 127.0.0.1:0
    /// admin: 127.0.0.1:0
    /// tokens: {issuer: example, audience: api}
    /// upstreams: {login: {targets: ['http://127.0.0.1:9']}}
    /// routes: [{route: POST /login, to: login, auth: public, then: issue-token}]
    /// ";
    /// assert!(gateway::Gateway::builder().load_text("example.yaml", yaml, &lookup).is_ok());
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Collects hooks, and loads configurations that refer to them.
///
/// A hook of the name of another replaces it. See [`hooks`](crate::hooks) for what a hook gets and returns.
///
/// ```
/// use gateway::{Gateway, bearer};
///
/// let builder = Gateway::builder().authorizer("never", |_| async { Err(bearer::insufficient("sub")) });
/// let yaml = "
/// version: 1
/// listen: 127.0.0.1:0
/// admin: 127.0.0.1:0
/// upstreams: {u: {targets: ['http://127.0.0.1:9']}}
/// routes: [{route: GET /x, to: u, auth: {hook: nevr}}]
/// ";
/// let error = builder.load_text("example.yaml", yaml, &|_| None).unwrap_err();
/// assert!(error.to_string().contains("did you mean `never`?"), "{error}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    hooks: Hooks,
}

impl Builder {
    /// Registers a hook for `decoder: NAME` of a route: it identifies the caller, instead of the bearer token. The problem
    /// that it returns, usually a 401, is the answer.
    ///
    /// ```
    /// use gateway::{Gateway, bearer, hooks::Claims};
    ///
    /// let builder = Gateway::builder().decoder("station", |request| async move {
    ///     match request.header("x-station-key") {
    ///         Some("k-7") => Ok(Claims::from_iter([("sub".to_owned(), "station-7".into())])),
    ///         Some(_) | None => Err(bearer::invalid("the station is unknown")),
    ///     }
    /// });
    /// ```
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

    /// Registers a hook for `auth: {hook: NAME}` of a route: it decides whether an identified caller is authorized. The
    /// problem that it returns, usually a 403, is the answer.
    ///
    /// ```
    /// use gateway::{Gateway, bearer};
    ///
    /// let builder = Gateway::builder().authorizer("owner", |request| async move {
    ///     let user = request.claims().and_then(|claims| claims.get("sub")?.as_str());
    ///     let owns = user.is_some_and(|user| request.path.ends_with(&format!("/{user}")));
    ///     if owns { Ok(()) } else { Err(bearer::insufficient("sub")) }
    /// });
    /// ```
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

    /// Registers a hook for `headers_from: NAME` of a route: it makes headers for the upstream. What the client sends under
    /// the names in `sets` is removed, and the hook may set only those names.
    ///
    /// ```
    /// use actix_http::header::{HeaderName, HeaderValue};
    /// use gateway::Gateway;
    ///
    /// let region = HeaderName::from_static("x-region");
    /// let builder = Gateway::builder().headers("region", &[region.clone()], move |_| {
    ///     let field = (region.clone(), HeaderValue::from_static("eu"));
    ///     async { Ok(vec![field]) }
    /// });
    /// ```
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

    /// Registers a hook for `then: NAME` of a route: it makes the answer to the client from a successful (2xx) one of the
    /// upstream, which is read whole for it. Other answers are passed on unchanged.
    ///
    /// ```
    /// use gateway::Gateway;
    ///
    /// let builder = Gateway::builder().post("no-cache", |_, mut answer| async {
    ///     answer.headers.remove("cache-control");
    ///     Ok(answer)
    /// });
    /// ```
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

    /// Returns the YAML at `path` as a source that [`Server::watching`](crate::Server::watching) reloads when it changes.
    /// `environment` gives the variables.
    ///
    /// ```
    /// use chassis::config::environment;
    ///
    /// let source = gateway::Gateway::builder().source("gateway.yaml".into(), environment);
    /// ```
    pub fn source(
        &self,
        path: PathBuf,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Source {
        Source::new(path, environment).naming(self.hooks.clone())
    }

    /// Loads the YAML at `path`. A hook that it names and that was not registered is a mistake. `lookup` gives the
    /// environment.
    ///
    /// ```
    /// let error = gateway::Gateway::builder().load("absent.yaml".as_ref(), &|_| None).unwrap_err();
    /// assert!(error.to_string().contains("cannot read the configuration absent.yaml"));
    /// ```
    ///
    /// # Errors
    /// Every mistake, with its line.
    pub fn load(&self, path: &Path, lookup: Lookup<'_>) -> Result<Config, StartError> {
        config::load_with(path, lookup, &self.hooks)
    }

    /// Loads YAML from a text, which messages call `name`.
    ///
    /// ```
    /// let error = gateway::Gateway::builder().load_text("example.yaml", "version: 2", &|_| None).unwrap_err();
    /// assert!(error.to_string().contains("example.yaml:1:10"), "{error}");
    /// ```
    ///
    /// # Errors
    /// Every mistake, with its line.
    pub fn load_text(&self, name: &str, source: &str, lookup: Lookup<'_>) -> Result<Config, StartError> {
        config::load_text_with(name, source, lookup, &self.hooks)
    }
}
