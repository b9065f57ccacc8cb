//! The messages that change users, each beside its handler: check, then stage. Since the actor handles one at a time, a
//! check and the change that it allows are one step.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use chassis::{conditional::IfMatch, identity::UserId};

use super::{
    StoreError,
    actor::{Admitted, StoreActor, now},
};
use crate::domain::{ID_MAX, NewUser, PasswordHash, Refusal, User, UserEdit};

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(super) struct Create(pub(super) NewUser);

impl Handler<Admitted<Create>> for StoreActor {
    type Result = ResponseFuture<Result<Arc<User>, StoreError>>;

    fn handle(&mut self, Admitted { verb, permit }: Admitted<Create>, context: &mut Context<Self>) -> Self::Result {
        let checked = self.check_create(verb.0);
        let Ok(user) = checked else { return answer(checked) };
        let durable = self.stage(context, permit, None, Some(Arc::clone(&user)));
        Box::pin(async { durable.await.map(|()| user) })
    }
}

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(super) struct Update {
    pub(super) id: UserId,
    pub(super) if_match: IfMatch,
    pub(super) edit: UserEdit,
}

impl Handler<Admitted<Update>> for StoreActor {
    type Result = ResponseFuture<Result<Arc<User>, StoreError>>;

    fn handle(&mut self, Admitted { verb, permit }: Admitted<Update>, context: &mut Context<Self>) -> Self::Result {
        let (before, after) = match self.check_update(verb) {
            Ok(change) => change,
            Err(error) => return answer(Err(error)),
        };
        let durable = self.stage(context, permit, Some(before), Some(Arc::clone(&after)));
        Box::pin(async { durable.await.map(|()| after) })
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(super) struct Delete {
    pub(super) id: UserId,
    pub(super) if_match: IfMatch,
}

impl Handler<Admitted<Delete>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Admitted { verb, permit }: Admitted<Delete>, context: &mut Context<Self>) -> Self::Result {
        match self.check_delete(&verb) {
            Ok(before) => self.stage(context, permit, Some(before), None),
            Err(error) => answer(Err(error)),
        }
    }
}

/// Keeps the password of a user under another cost.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(super) struct Rehash {
    pub(super) id: UserId,
    /// The hash that the password was verified against. If the user has another one by now, that one stays.
    pub(super) verified: PasswordHash,
    pub(super) rehashed: PasswordHash,
}

impl Handler<Admitted<Rehash>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Admitted { verb, permit }: Admitted<Rehash>, context: &mut Context<Self>) -> Self::Result {
        let before = match self.check_open().and_then(|()| Ok(Arc::clone(self.latest.get(verb.id)?))) {
            Ok(before) => before,
            Err(error) => return answer(Err(error)),
        };
        if before.hashed_password != verb.verified {
            return answer(Ok(()));
        }
        let after = Arc::new(before.rehashed(verb.rehashed));
        self.stage(context, permit, Some(before), Some(after))
    }
}

impl StoreActor {
    fn check_create(&mut self, new: NewUser) -> Result<Arc<User>, StoreError> {
        self.check_open()?;
        let id = self.next_id();
        if id.0 > ID_MAX {
            return Err(StoreError::IdsExhausted);
        }
        let user = new.into_user(id, now());
        self.latest.check_unique(&user)?;
        self.spend_id();
        Ok(Arc::new(user))
    }

    fn check_update(&self, Update { id, if_match, edit }: Update) -> Result<(Arc<User>, Arc<User>), StoreError> {
        let before = self.check_state(id, &if_match)?;
        let after = before.edited(edit, now());
        self.protection.allows(before, Some(after.user_type), self.latest.admins())?;
        self.latest.check_unique(&after)?;
        Ok((Arc::clone(before), Arc::new(after)))
    }

    fn check_delete(&self, Delete { id, if_match }: &Delete) -> Result<Arc<User>, StoreError> {
        let before = self.check_state(*id, if_match)?;
        self.protection.allows(before, None, self.latest.admins())?;
        Ok(Arc::clone(before))
    }

    fn check_state(&self, id: UserId, if_match: &IfMatch) -> Result<&Arc<User>, StoreError> {
        self.check_open()?;
        let user = self.latest.get(id)?;
        if !if_match.allows(user.version) {
            return Err(Refusal::PreconditionFailed.into());
        }
        Ok(user)
    }
}

fn answer<T: 'static>(outcome: Result<T, StoreError>) -> ResponseFuture<Result<T, StoreError>> {
    Box::pin(async { outcome })
}
