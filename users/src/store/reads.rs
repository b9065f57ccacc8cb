//! The messages that read users, each beside its handler, and the two that concern the store itself. They see durable
//! users only, and are answered at once.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use chassis::identity::UserId;

use super::{
    StoreError,
    actor::{Admitted, StoreActor},
};
use crate::domain::{Folded, User};

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(super) struct Get(pub(super) UserId);

impl Handler<Admitted<Get>> for StoreActor {
    type Result = Result<Arc<User>, StoreError>;

    fn handle(&mut self, message: Admitted<Get>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(Arc::clone(self.visible.get(message.verb.0)?))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Option<Arc<User>>, StoreError>")]
pub(super) struct FindByName(pub(super) Folded);

impl Handler<Admitted<FindByName>> for StoreActor {
    type Result = Result<Option<Arc<User>>, StoreError>;

    fn handle(&mut self, message: Admitted<FindByName>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.visible.find_by_name(&message.verb.0).cloned())
    }
}

#[derive(Message)]
#[rtype(result = "Result<Vec<Arc<User>>, StoreError>")]
pub(super) struct List {
    pub(super) after: Option<UserId>,
    pub(super) limit: usize,
}

impl Handler<Admitted<List>> for StoreActor {
    type Result = Result<Vec<Arc<User>>, StoreError>;

    fn handle(&mut self, message: Admitted<List>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.visible.list(message.verb.after, message.verb.limit))
    }
}

/// Answered by an actor that is alive and able to serve.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(super) struct Ping;

impl Handler<Admitted<Ping>> for StoreActor {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, _: Admitted<Ping>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()
    }
}

/// Ends the store. It comes through the mailbox, behind all that was sent before it, which is still written and
/// answered; stopping the context instead would drop it.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(super) struct Shutdown;

impl Handler<Shutdown> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        let closed = self.close();
        Box::pin(async { closed.await.map_err(|_| StoreError::Stopping) })
    }
}
