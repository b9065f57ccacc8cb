//! Who makes a request, for the audit log: what the gateway asserts, and the id of the request.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use chassis::{identity::Assertion, problem::Problem, trace::RequestContext};

use crate::audit::{Account, Initiator};

/// The initiator of a request.
pub(super) struct By(pub(super) Initiator);

impl FromRequest for By {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let assertion = extensions.get::<Assertion>();
        let request_id = extensions.get::<RequestContext>().map(|context| context.request_id().to_owned());
        ready(Ok(Self(Initiator {
            user: assertion.and_then(|assertion| assertion.sub.as_deref()?.parse().ok()).map(|id| Account::Id { id }),
            session: assertion.and_then(|assertion| assertion.sid.clone()),
            address: assertion.and_then(|assertion| assertion.client_ip),
            request_id,
        })))
    }
}
