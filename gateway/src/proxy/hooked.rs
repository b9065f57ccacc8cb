//! Calls the hooks of a route on the way of one request. Knows no hook.

use std::rc::Rc;

use actix_http::{
    HttpMessage, Response,
    body::BoxBody,
    header::{CONTENT_LENGTH, HeaderMap},
};
use awc::ClientResponse;
use chassis::problem::{Code, Problem};

use super::{Incoming, edit::Edits, headers};
use crate::{
    auth::verifier::Caller,
    config::RouteSettings,
    hooks::{Answer, Parts, PostProcessor, Request},
    upstream::Upstream,
    worker::Worker,
};

/// What a hook gets whole. An answer that is larger is no user, no list, no document to be changed on the way.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The hooks of the route of one request.
pub(super) struct Hooked<'a> {
    route: &'a RouteSettings,
    /// Only where there are hooks: it costs a copy of the headers.
    request: Option<Request>,
}

impl<'a> Hooked<'a> {
    pub(super) fn of(worker: &Worker, route: &'a RouteSettings, incoming: &Incoming) -> Self {
        let request = (!route.hooks.is_empty()).then(|| {
            Request::new(Parts {
                context: incoming.context.clone(),
                route: route.name.clone(),
                method: incoming.request.method().clone(),
                path: incoming.path.clone(),
                query: incoming.request.uri().query().map(str::to_owned),
                headers: incoming.request.headers().clone(),
                client_ip: incoming.client_ip,
                trust: worker.shared.trust.clone(),
            })
        });
        Self { route, request }
    }

    /// The caller by the decoder of the route; `None` where it has none, so that the bearer token tells.
    pub(super) async fn identify(&self) -> Result<Option<Rc<Caller>>, Problem> {
        let Some((decoder, request)) = self.route.hooks.decoder.as_ref().zip(self.request.clone()) else {
            return Ok(None);
        };
        let claims = (decoder.run)(request).await?;
        Ok(Some(Rc::new(Caller::of(claims))))
    }

    /// From now on hooks see the caller.
    pub(super) async fn authorize(&mut self, caller: Option<&Rc<Caller>>) -> Result<(), Problem> {
        let Some(request) = self.request.take() else { return Ok(()) };
        let request = request.of_caller(caller.cloned());
        self.request = Some(request.clone());
        match &self.route.hooks.authorizer {
            Some(authorizer) => (authorizer.run)(request).await,
            None => Ok(()),
        }
    }

    /// Set or removed, never passed through.
    pub(super) async fn headers(&self, outgoing: &mut HeaderMap) -> Result<(), Problem> {
        let Some(request) = &self.request else { return Ok(()) };
        for generator in &self.route.hooks.headers {
            let sets = &generator.run.sets;
            outgoing.retain(|name, _| !sets.contains(name));
            for (name, value) in (generator.run.run)(request.clone()).await? {
                if !sets.contains(&name) {
                    let cause = format!("the hook `{}` set `{name}`, for which it was not registered", generator.name);
                    return Err(Problem::internal(cause));
                }
                outgoing.append(name, value);
            }
        }
        Ok(())
    }

    /// What happens to an answer before the client gets it, and the request that it belongs to.
    pub(super) fn then(&self) -> Option<(&PostProcessor, Request)> {
        self.route.hooks.then.as_ref().zip(self.request.clone())
    }
}

/// Reads the answer of the upstream whole and gives it to the hook.
pub(super) async fn post_process(
    hook: &PostProcessor,
    request: Request,
    upstream: &Upstream,
    mut answer: ClientResponse,
) -> Result<Response<BoxBody>, Problem> {
    let body = answer.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| {
        Problem::new(Code::UpstreamInvalid, format!("`{}` did not end its answer", upstream.name()))
            .because(error.to_string())
    })?;
    let mut fields = answer.headers().clone();
    headers::returning(&mut fields, answer.status(), &Edits::default());
    fields.remove(CONTENT_LENGTH);
    let answer = (hook.run)(request, Answer { status: answer.status(), headers: fields, body }).await?;
    let mut response = Response::with_body(answer.status, BoxBody::new(answer.body));
    *response.headers_mut() = answer.headers;
    Ok(response)
}
