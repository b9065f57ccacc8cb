//! What hooks get and give: a request, and an answer read whole.

use std::{
    net::IpAddr,
    rc::Rc,
    time::{Duration, SystemTime},
};

use actix_http::{Method, StatusCode, header::HeaderMap};
use bytes::Bytes;
use chassis::{problem::Problem, trace::RequestContext};

use crate::auth::{
    caller::Caller,
    claims::Claims,
    issuers::own::{Session, Subject},
    token_issuers::TokenIssuers,
};

/// A request as hooks see it. Clones are cheap.
///
/// ```
/// use chassis::problem::Problem;
/// use gateway::{Gateway, bearer, hooks::Request};
///
/// /// Lets users see their own pages.
/// async fn owner(request: Request) -> Result<(), Problem> {
///     let user = request.claims().and_then(|claims| claims.get("sub")?.as_str());
///     let owns = user.is_some_and(|user| request.path.ends_with(&format!("/{user}")));
///     if owns { Ok(()) } else { Err(bearer::insufficient("sub")) }
/// }
///
/// let builder = Gateway::builder().authorizer("owner", owner);
/// ```
#[derive(Clone)]
pub struct Request {
    parts: Rc<Parts>,
    caller: Option<Rc<Caller>>,
}

/// The parts of a [`Request`] that stay the same for all its hooks.
///
/// ```
/// use gateway::hooks::Request;
///
/// fn describe(request: &Request) -> String {
///     format!("{} {} by {} on `{}`", request.method, request.path, request.client_ip, request.route)
/// }
/// ```
pub struct Parts {
    /// The request id and the trace.
    pub context: RequestContext,
    /// The name of the route: its methods and its path as written in the YAML.
    pub route: String,
    /// The method of the request.
    pub method: Method,
    /// The path in normal form, after aliases.
    pub path: String,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The headers as the client sent them: nothing in them has been verified.
    pub headers: HeaderMap,
    /// The address of the client, which a trusted proxy may have told.
    pub client_ip: IpAddr,
    pub(crate) issuers: Option<TokenIssuers>,
}

impl Request {
    /// Returns a request whose caller is not known yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Rc::new(parts), caller: None }
    }

    /// Returns the same request with its caller.
    #[must_use]
    pub(crate) fn of_caller(self, caller: Option<Rc<Caller>>) -> Self {
        Self { caller, ..self }
    }

    /// Returns the claims of the caller: `None` for a decoder, which has yet to find them, and on public routes.
    ///
    /// ```
    /// # use gateway::hooks::Request;
    /// fn is_admin(request: &Request) -> bool {
    ///     request.claims().is_some_and(|claims| claims.get("user_type").is_some_and(|kind| kind == "admin"))
    /// }
    /// ```
    pub fn claims(&self) -> Option<&Claims> {
        self.caller.as_ref().map(|caller| &caller.claims)
    }

    /// Signs an access token for a user. Returns it with the time for which it is valid.
    ///
    /// ```
    /// # use chassis::problem::Problem;
    /// # use gateway::hooks::{Answer, Request};
    /// /// A post-processor for a login service that answers the id of the user.
    /// async fn sign_in(request: Request, answer: Answer) -> Result<Answer, Problem> {
    ///     let id = serde_json::from_slice(&answer.body).map_err(Problem::internal)?;
    ///     let (token, _) = request.issue_token(id, "default")?;
    ///     Ok(Answer { body: token.into(), ..answer })
    /// }
    /// ```
    ///
    /// # Errors
    /// 500 where the configuration names no signing key, or the operating system gives no random bytes.
    pub fn issue_token(&self, user_id: i64, user_type: &str) -> Result<(String, Duration), Problem> {
        self.issue(&Subject { id: user_id, user_type, session: None })
    }

    /// Signs an access token that belongs to a session, so that it is refused once `tokens.sessions` names the session as
    /// ended. Returns it with the time for which it is valid, which ends with the session at the latest.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chassis::problem::Problem;
    /// # use gateway::hooks::{Request, Session};
    /// fn sign_in(request: &Request, user: i64, session_id: &str, now: u64) -> Result<String, Problem> {
    ///     let session = Session {
    ///         id: session_id.to_owned(),
    ///         authenticated_at: now,
    ///         methods: vec!["pwd".to_owned()],
    ///         ends_in: Duration::from_secs(8 * 3600),
    ///     };
    ///     request.issue_session_token(user, "default", &session).map(|(token, _)| token)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`issue_token`](Self::issue_token).
    pub fn issue_session_token(
        &self,
        user_id: i64,
        user_type: &str,
        session: &Session,
    ) -> Result<(String, Duration), Problem> {
        self.issue(&Subject { id: user_id, user_type, session: Some(session) })
    }

    fn issue(&self, subject: &Subject<'_>) -> Result<(String, Duration), Problem> {
        let issuer =
            self.issuers.as_ref().ok_or_else(|| Problem::internal("a hook issues tokens, but none are configured"))?;
        issuer.issue(subject, SystemTime::now())
    }

    /// Returns the value of a header that was sent exactly once and is text.
    ///
    /// ```
    /// # use gateway::hooks::Request;
    /// fn tenant(request: &Request) -> &str {
    ///     request.header("x-tenant").unwrap_or("default")
    /// }
    /// ```
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

/// An answer that was read whole.
///
/// ```
/// use chassis::problem::Problem;
/// use gateway::hooks::{Answer, Request};
///
/// /// Hides the version of the service.
/// async fn hide_version(_: Request, mut answer: Answer) -> Result<Answer, Problem> {
///     answer.headers.remove("x-version");
///     Ok(answer)
/// }
///
/// let builder = gateway::Gateway::builder().post("hide-version", hide_version);
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of the upstream, or of the answer that the hook makes.
    pub status: StatusCode,
    /// The headers without hop-by-hop fields and lengths, which the gateway writes.
    pub headers: HeaderMap,
    /// The body, 1 MiB at most.
    pub body: Bytes,
}
