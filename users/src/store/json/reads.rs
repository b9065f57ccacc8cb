//! The messages that read users and sessions, each beside its handler, and those of the store's lifecycle. They see durable users
//! only, and are answered at once.

use std::{cmp::Reverse, sync::Arc};

use actix::{Context, Handler, Message, ResponseFuture};
use chassis::{
    identity::UserId,
    store::{Admitted, Ping, Shutdown, StoreFault},
};

use tokio::task::spawn_blocking;

use super::{
    actor::{StoreActor, now},
    sessions::EndedPage,
    table::Scan,
};
use crate::{
    domain::{Email, Folded, Session, User, UserFilter, UserName, UserType},
    store::error::StoreError,
};

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(crate) struct Get(pub(crate) UserId);

impl Handler<Admitted<Get>> for StoreActor {
    type Result = Result<Arc<User>, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<Get>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(Arc::clone(self.visible.users.get(message.0)?))
    }
}

#[derive(Message)]
#[rtype(result = "Result<Option<Arc<User>>, StoreError>")]
pub(crate) struct FindByName(pub(crate) Folded);

impl Handler<Admitted<FindByName>> for StoreActor {
    type Result = Result<Option<Arc<User>>, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<FindByName>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.visible.users.find_by_name(&message.0).cloned())
    }
}

/// Looks for users among a bounded number of them.
#[derive(Message)]
#[rtype(result = "Result<Scan, StoreError>")]
pub(crate) struct List {
    pub(crate) filter: Arc<UserFilter>,
    pub(crate) after: Option<UserId>,
    pub(crate) limit: usize,
}

impl Handler<Admitted<List>> for StoreActor {
    type Result = Result<Scan, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<List>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.visible.users.list(&message.filter, message.after, message.limit))
    }
}

/// The sessions of a user that have not ended, those used last first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Arc<Session>>, StoreError>")]
pub(crate) struct SessionsOf(pub(crate) UserId);

impl Handler<Admitted<SessionsOf>> for StoreActor {
    type Result = Result<Vec<Arc<Session>>, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<SessionsOf>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        self.visible.users.get(message.0)?;
        let now = now();
        let open = self.visible.sessions.of(message.0).filter(|session| !session.is_expired(&self.session_limits, now));
        let mut open: Vec<Arc<Session>> = open.cloned().collect();
        open.sort_unstable_by_key(|session| (Reverse(session.refreshed_at), session.id));
        Ok(open)
    }
}

/// Sessions that have ended, in the order in which their ends became durable.
#[derive(Message)]
#[rtype(result = "Result<EndedPage, StoreError>")]
pub(crate) struct EndedSince {
    /// The number of the first one that is asked for.
    pub(crate) number: u64,
    pub(crate) limit: usize,
}

impl Handler<Admitted<EndedSince>> for StoreActor {
    type Result = Result<EndedPage, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<EndedSince>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        self.forget_ended_sessions();
        Ok(self.ended.since(message.number, message.limit))
    }
}

/// Counts the users of a type, or all.
#[derive(Message)]
#[rtype(result = "Result<usize, StoreError>")]
pub(crate) struct Count(pub(crate) Option<UserType>);

impl Handler<Admitted<Count>> for StoreActor {
    type Result = Result<usize, StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<Count>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.visible.users.count(message.0))
    }
}

/// Checks whether a new user could have this name and address. Unlike the other reads it sees what is staged too, and so
/// gives the answer that a [`Create`](super::writes::Create) would get at this moment.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(crate) struct CheckAvailable {
    pub(crate) username: UserName,
    pub(crate) email: Option<Email>,
}

impl Handler<Admitted<CheckAvailable>> for StoreActor {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, Admitted { message, .. }: Admitted<CheckAvailable>, _: &mut Context<Self>) -> Self::Result {
        self.check_open()?;
        Ok(self.latest.users.check_unique(None, &message.username, message.email.as_ref())?)
    }
}

impl Handler<Admitted<Ping>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreFault>>;

    fn handle(&mut self, Admitted { permit, .. }: Admitted<Ping>, _: &mut Context<Self>) -> Self::Result {
        let is_open = self.check_open();
        let files = Arc::clone(&self.files);
        Box::pin(async move {
            is_open?;
            // Not here, because the actor never waits for the disk.
            let checked = spawn_blocking(move || files.check_in_place()).await;
            drop(permit);
            checked.unwrap_or(Err(StoreFault::Stopping))
        })
    }
}

impl Handler<Shutdown> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreFault>>;

    fn handle(&mut self, _: Shutdown, context: &mut Context<Self>) -> Self::Result {
        let closed = self.close(context);
        Box::pin(async { closed.await.map_err(|_| StoreFault::Stopping) })
    }
}
