//! Calls the hooks of a route on the way of one request. Knows no hook.

use std::rc::Rc;

use actix_http::{HttpMessage, header::HeaderMap};
use chassis::problem::Problem;

use super::incoming::Incoming;
use crate::{
    auth::caller::Caller,
    hooks::{Parts, PostProcessor, Request},
    route::RouteSettings,
    runtime::worker::Worker,
};

/// The hooks of the route of one request.
pub(crate) struct HookCalls<'a> {
    route: &'a RouteSettings,
    /// Only where there are hooks: it costs a copy of the headers.
    request: Option<Request>,
}

impl<'a> HookCalls<'a> {
    pub(crate) fn of(worker: &Worker, route: &'a RouteSettings, incoming: &Incoming) -> Self {
        let request = (!route.hooks.is_empty()).then(|| {
            Request::new(Parts {
                context: incoming.context.clone(),
                route: route.name.clone(),
                method: incoming.request.method().clone(),
                path: incoming.path.clone(),
                query: incoming.request.uri().query().map(str::to_owned),
                headers: incoming.request.headers().clone(),
                client_ip: incoming.client_ip,
                issuers: worker.snapshot.issuers.clone(),
            })
        });
        Self { route, request }
    }

    /// The caller by the decoder of the route; `None` where it has none, so that the bearer token tells.
    pub(crate) async fn identify(&self) -> Result<Option<Rc<Caller>>, Problem> {
        let Some((decoder, request)) = self.route.hooks.decoder.as_ref().zip(self.request.clone()) else {
            return Ok(None);
        };
        let claims = (decoder.run)(request).await?;
        Ok(Some(Rc::new(Caller::of(claims))))
    }

    /// From now on hooks see the caller.
    pub(crate) async fn authorize(&mut self, caller: Option<&Rc<Caller>>) -> Result<(), Problem> {
        let Some(request) = self.request.take() else { return Ok(()) };
        let request = request.of_caller(caller.cloned());
        self.request = Some(request.clone());
        match &self.route.hooks.authorizer {
            Some(authorizer) => (authorizer.run)(request).await,
            None => Ok(()),
        }
    }

    /// Set or removed, never passed through.
    pub(crate) async fn headers(&self, outgoing: &mut HeaderMap) -> Result<(), Problem> {
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
    pub(crate) fn then(&self) -> Option<(&PostProcessor, Request)> {
        self.route.hooks.then.as_ref().zip(self.request.clone())
    }
}
