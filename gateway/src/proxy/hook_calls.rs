//! Calls the hooks of a route for one request. Knows no hook in particular.

use std::rc::Rc;

use actix_http::{HttpMessage, header::HeaderMap};
use chassis::problem::Problem;

use super::incoming::Incoming;
use crate::{
    auth::caller::Caller,
    hooks::{Parts, PostProcessor, Request, RouteHooks},
    route::LiveRoute,
    runtime::worker::Worker,
};

/// The hooks of the route of one request.
pub(crate) struct HookCalls<'a> {
    hooks: &'a RouteHooks,
    /// `None` where the route has no hooks: it costs a copy of the headers.
    request: Option<Request>,
}

impl<'a> HookCalls<'a> {
    pub(crate) fn of(worker: &Worker, route: &'a LiveRoute, incoming: &Incoming) -> Self {
        let hooks = &route.settings.hooks;
        let request = (!hooks.is_empty()).then(|| {
            Request::new(Parts {
                context: incoming.context.clone(),
                route: route.settings.name.clone(),
                method: incoming.request.method().clone(),
                path: incoming.path.clone(),
                query: incoming.request.uri().query().map(str::to_owned),
                headers: incoming.request.headers().clone(),
                client_ip: incoming.client_ip,
                issuers: worker.snapshot.issuers.clone(),
            })
        });
        Self { hooks, request }
    }

    /// The caller that the decoder of the route finds; `None` where the route has no decoder.
    pub(crate) async fn identify(&self) -> Result<Option<Rc<Caller>>, Problem> {
        let Some((decoder, request)) = self.hooks.decoder.as_ref().zip(self.request.clone()) else {
            return Ok(None);
        };
        let claims = (decoder.run)(request).await?;
        Ok(Some(Rc::new(Caller::from_claims(claims))))
    }

    /// Asks the authorizer of the route. From here on the hooks see the caller.
    pub(crate) async fn authorize(&mut self, caller: Option<&Rc<Caller>>) -> Result<(), Problem> {
        let Some(request) = self.request.take() else { return Ok(()) };
        let request = request.of_caller(caller.cloned());
        self.request = Some(request.clone());
        match &self.hooks.authorizer {
            Some(authorizer) => (authorizer.run)(request).await,
            None => Ok(()),
        }
    }

    /// Runs the header generators. What the client sent under the names that they set is removed.
    pub(crate) async fn headers(&self, outgoing: &mut HeaderMap) -> Result<(), Problem> {
        let Some(request) = &self.request else { return Ok(()) };
        for generator in &self.hooks.headers {
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

    /// The post-processor of the route, and the request to give it.
    pub(crate) fn then(&self) -> Option<(&PostProcessor, Request)> {
        self.hooks.then.as_ref().zip(self.request.clone())
    }
}
