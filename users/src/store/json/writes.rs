//! The messages that change users, each beside its handler: check, then stage. Since the actor handles one at a time, a
//! check and the change that it allows are one step.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use chassis::{
    conditional::IfMatch,
    identity::UserId,
    store::{Admitted, StoreFault},
};

use super::{
    actor::{StoreActor, now},
    staged::Effect,
};
use crate::{
    audit::Initiator,
    domain::{EndReason, ID_MAX, Lock, NewUser, PasswordHash, Refusal, SessionId, User, UserEdit},
    store::error::StoreError,
};

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(crate) struct Create {
    pub(crate) new: NewUser,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<Create>> for StoreActor {
    type Result = ResponseFuture<Result<Arc<User>, StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<Create>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let checked = self.check_create(message.new);
        let Ok(user) = checked else { return answer(checked) };
        let effect = Effect::User { id: user.id, before: None, after: Some(Arc::clone(&user)) };
        let durable = self.stage(context, permit, vec![effect], message.initiator);
        Box::pin(async { durable.await.map(|()| user) })
    }
}

#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(crate) struct Update {
    pub(crate) id: UserId,
    pub(crate) if_match: IfMatch,
    pub(crate) edit: UserEdit,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<Update>> for StoreActor {
    type Result = ResponseFuture<Result<Arc<User>, StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<Update>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let initiator = message.initiator.clone();
        let (before, after) = match self.check_update(message) {
            Ok(change) => change,
            Err(error) => return answer(Err(error)),
        };
        let mut effects = Vec::new();
        if after.user_type != before.user_type {
            effects = self.ends_of(after.id, None, EndReason::RightsChanged);
        }
        effects.push(Effect::User { id: after.id, before: Some(before), after: Some(Arc::clone(&after)) });
        let durable = self.stage(context, permit, effects, initiator);
        Box::pin(async { durable.await.map(|()| after) })
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(crate) struct Delete {
    pub(crate) id: UserId,
    pub(crate) if_match: IfMatch,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<Delete>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<Delete>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        match self.check_delete(&message) {
            Ok(before) => {
                let mut effects = self.ends_of(before.id, None, EndReason::UserDeleted);
                effects.push(Effect::User { id: before.id, before: Some(before), after: None });
                self.stage(context, permit, effects, message.initiator)
            }
            Err(error) => answer(Err(error)),
        }
    }
}

/// Sets another password.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(crate) struct SetPassword {
    pub(crate) id: UserId,
    /// The hash of the password that the user has given as the current one; absent where an admin sets another.
    pub(crate) verified: Option<PasswordHash>,
    pub(crate) hashed_password: PasswordHash,
    /// The session that goes on; all others of the user end.
    pub(crate) keep: Option<SessionId>,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<SetPassword>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<SetPassword>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let (keep, initiator) = (message.keep, message.initiator.clone());
        match self.check_set_password(message) {
            Ok((before, after)) => {
                let mut effects = self.ends_of(after.id, keep, EndReason::PasswordChanged);
                effects.push(Effect::User { id: after.id, before: Some(before), after: Some(after) });
                self.stage(context, permit, effects, initiator)
            }
            Err(error) => answer(Err(error)),
        }
    }
}

/// Locks a user and ends the sessions, or unlocks it.
#[derive(Message)]
#[rtype(result = "Result<Arc<User>, StoreError>")]
pub(crate) struct SetLock {
    pub(crate) id: UserId,
    pub(crate) locked: Option<Lock>,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<SetLock>> for StoreActor {
    type Result = ResponseFuture<Result<Arc<User>, StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<SetLock>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let initiator = message.initiator.clone();
        let (before, after) = match self.check_set_lock(message) {
            Ok(change) => change,
            Err(error) => return answer(Err(error)),
        };
        if Arc::ptr_eq(&before, &after) {
            return answer(Ok(after));
        }
        let mut effects = Vec::new();
        if after.locked.is_some() {
            effects = self.ends_of(after.id, None, EndReason::UserLocked);
        }
        effects.push(Effect::User { id: after.id, before: Some(before), after: Some(Arc::clone(&after)) });
        let durable = self.stage(context, permit, effects, initiator);
        Box::pin(async { durable.await.map(|()| after) })
    }
}

impl StoreActor {
    fn check_create(&mut self, new: NewUser) -> Result<Arc<User>, StoreError> {
        self.check_open()?;
        let id = self.next_id();
        if id.0 > ID_MAX {
            return Err(StoreFault::failed("create a user", "every user id has been used").into());
        }
        let user = new.into_user(id, now());
        self.latest.users.check_unique(None, &user.username, user.email.as_ref())?;
        self.use_next_id();
        Ok(Arc::new(user))
    }

    fn check_update(&self, Update { id, if_match, edit, .. }: Update) -> Result<(Arc<User>, Arc<User>), StoreError> {
        let before = self.check_state(id, &if_match)?;
        let after = before.edited(edit, now());
        self.protection.check(before, Some(&after), self.latest.users.active_admins())?;
        self.latest.users.check_unique(Some(id), &after.username, after.email.as_ref())?;
        Ok((Arc::clone(before), Arc::new(after)))
    }

    fn check_delete(&self, Delete { id, if_match, .. }: &Delete) -> Result<Arc<User>, StoreError> {
        let before = self.check_state(*id, if_match)?;
        self.protection.check(before, None, self.latest.users.active_admins())?;
        Ok(Arc::clone(before))
    }

    fn check_set_password(&self, message: SetPassword) -> Result<(Arc<User>, Arc<User>), StoreError> {
        self.check_open()?;
        let before = self.latest.users.get(message.id)?;
        if message.verified.is_some_and(|verified| verified != before.hashed_password) {
            return Err(Refusal::PasswordChanged.into());
        }
        Ok((Arc::clone(before), Arc::new(before.with_password(message.hashed_password, now()))))
    }

    fn check_set_lock(&self, SetLock { id, locked, .. }: SetLock) -> Result<(Arc<User>, Arc<User>), StoreError> {
        self.check_open()?;
        let before = self.latest.users.get(id)?;
        if before.locked.is_some() == locked.is_some() {
            return Ok((Arc::clone(before), Arc::clone(before)));
        }
        let after = before.with_lock(locked, now());
        self.protection.check(before, Some(&after), self.latest.users.active_admins())?;
        Ok((Arc::clone(before), Arc::new(after)))
    }

    fn check_state(&self, id: UserId, if_match: &IfMatch) -> Result<&Arc<User>, StoreError> {
        self.check_open()?;
        let user = self.latest.users.get(id)?;
        if !if_match.allows(user.version) {
            return Err(Refusal::PreconditionFailed.into());
        }
        Ok(user)
    }
}

fn answer<T: 'static>(outcome: Result<T, StoreError>) -> ResponseFuture<Result<T, StoreError>> {
    Box::pin(async { outcome })
}
