//! The messages that open, refresh and end sessions, each beside its handler. As with users, a check and the change that
//! it allows are one step, because the actor handles one message at a time.
//!
//! What waits for the disk: that a session is opened, that its refresh token is rotated, and that it ends. Nothing else
//! about sessions is written.

use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use chassis::{
    identity::UserId,
    store::{Admitted, Permit},
};

use super::{
    actor::{StoreActor, now},
    staged::Effect,
};
use crate::{
    audit::Initiator,
    domain::{
        EndReason, EndedSession, Nonce, Origin, PasswordHash, Presented, RefreshToken, Refusal, SESSIONS_PER_USER_MAX,
        Session, SessionId, User,
    },
    store::error::StoreError,
};

/// What a sign-in or a refresh gives to a client.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The user as of now.
    pub(crate) user: Arc<User>,
    pub(crate) session: Arc<Session>,
    /// The refresh token to be used next.
    pub(crate) token: RefreshToken,
}

/// Opens a session for a user whose password was right.
#[derive(Message)]
#[rtype(result = "Result<Grant, StoreError>")]
pub(crate) struct OpenSession {
    /// The user whose password was verified. It may have been deleted or locked, or have another password by now.
    pub(crate) verified: Arc<User>,
    /// The hash of the same password with another cost, which replaces the one that was verified.
    pub(crate) rehashed: Option<PasswordHash>,
    pub(crate) origin: Origin,
    pub(crate) initiator: Initiator,
    /// The first refresh token of the session.
    pub(crate) token: RefreshToken,
}

impl Handler<Admitted<OpenSession>> for StoreActor {
    type Result = ResponseFuture<Result<Grant, StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<OpenSession>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let initiator = message.initiator.clone();
        match self.check_open_session(message) {
            Ok((grant, effects)) => self.grant(context, permit, (grant, effects), initiator),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

/// Exchanges a refresh token for the next one.
#[derive(Message)]
#[rtype(result = "Result<Grant, StoreError>")]
pub(crate) struct Refresh {
    pub(crate) token: RefreshToken,
    /// Makes the next token, unless the token was used before.
    pub(crate) nonce: Nonce,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<Refresh>> for StoreActor {
    type Result = ResponseFuture<Result<Grant, StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<Refresh>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        match self.check_refresh(&message) {
            Ok(Checked::Granted(grant, effect)) => {
                self.grant(context, permit, (*grant, vec![effect]), message.initiator)
            }
            Ok(Checked::Replayed(effect)) => {
                let ended = self.stage(context, permit, vec![effect], message.initiator);
                Box::pin(async { ended.await.and(Err(Refusal::InvalidRefreshToken.into())) })
            }
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

/// Ends one session of a user.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(crate) struct EndSession {
    pub(crate) user_id: UserId,
    pub(crate) id: SessionId,
    pub(crate) reason: EndReason,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<EndSession>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<EndSession>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        match self.check_end_session(&message) {
            Ok(effects) => self.stage(context, permit, effects, message.initiator),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

/// Ends all sessions of a user.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(crate) struct EndSessions {
    pub(crate) user_id: UserId,
    pub(crate) reason: EndReason,
    pub(crate) initiator: Initiator,
}

impl Handler<Admitted<EndSessions>> for StoreActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(
        &mut self,
        Admitted { message, permit, .. }: Admitted<EndSessions>,
        context: &mut Context<Self>,
    ) -> Self::Result {
        let EndSessions { user_id, reason, initiator } = message;
        match self.check_open().map_err(StoreError::from).and_then(|()| Ok(self.latest.users.get(user_id).map(drop)?)) {
            Ok(()) => {
                let effects = self.ends_of(user_id, None, reason);
                self.stage(context, permit, effects, initiator)
            }
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

/// What a refresh leads to.
enum Checked {
    Granted(Box<Grant>, Effect),
    Replayed(Effect),
}

impl StoreActor {
    fn check_open_session(&mut self, message: OpenSession) -> Result<(Grant, Vec<Effect>), StoreError> {
        let OpenSession { verified, rehashed, origin, token, .. } = message;
        self.check_open()?;
        let (before, now) = (Arc::clone(self.latest.users.get(verified.id)?), now());
        let has_same_hash = before.hashed_password == verified.hashed_password;
        // Of the same version, it was rehashed by another sign-in.
        if before.locked.is_some() || (!has_same_hash && before.version != verified.version) {
            return Err(Refusal::PasswordChanged.into());
        }
        let mut effects = self.make_room_for_session(before.id);
        let rehashed = rehashed.filter(|_| has_same_hash).map(|hash| Arc::new(before.with_hash(hash)));
        if let Some(after) = &rehashed {
            let (before, after) = (Some(Arc::clone(&before)), Some(Arc::clone(after)));
            effects.push(Effect::User { id: verified.id, before, after });
        }
        let session = Arc::new(Session::open(before.id, &token, origin, &self.session_limits, now));
        effects.push(Effect::Session { before: None, after: Arc::clone(&session) });
        Ok((Grant { user: rehashed.unwrap_or(before), session, token }, effects))
    }

    fn check_end_session(
        &self,
        EndSession { user_id, id, reason, .. }: &EndSession,
    ) -> Result<Vec<Effect>, StoreError> {
        self.check_open()?;
        let of_user = |session: &&Arc<Session>| session.user_id == *user_id;
        if let Some(session) = self.latest.sessions.get(*id).filter(of_user) {
            return Ok(vec![end(session, *reason)]);
        }
        // Somebody else is ending it, which is not durable yet: with no effect, this waits for it.
        let is_ending = self.visible.sessions.get(*id).is_some_and(|session| of_user(&session));
        if is_ending { Ok(Vec::new()) } else { Err(Refusal::NotFound.into()) }
    }

    /// Ends all sessions of a user but the one to `keep`.
    pub(super) fn ends_of(&self, user: UserId, keep: Option<SessionId>, reason: EndReason) -> Vec<Effect> {
        let others = self.latest.sessions.of(user).filter(|session| Some(session.id) != keep);
        others.map(|session| end(session, reason)).collect()
    }

    /// Ends those sessions of a user that are too many if there is one more.
    fn make_room_for_session(&mut self, user: UserId) -> Vec<Effect> {
        self.remove_expired_sessions(Some(user));
        let mut sessions: Vec<&Arc<Session>> = self.latest.sessions.of(user).collect();
        let too_many = (sessions.len() + 1).saturating_sub(SESSIONS_PER_USER_MAX);
        sessions.sort_unstable_by_key(|session| session.refreshed_at);
        sessions.into_iter().take(too_many).map(|session| end(session, EndReason::TooMany)).collect()
    }

    fn check_refresh(&self, Refresh { token, nonce, .. }: &Refresh) -> Result<Checked, StoreError> {
        self.check_open()?;
        let session = self.latest.sessions.get(token.session_id()).ok_or(Refusal::InvalidRefreshToken)?;
        let user = Arc::clone(self.latest.users.get(session.user_id).map_err(|_| Refusal::InvalidRefreshToken)?);
        let (after, token) = match session.present(token, *nonce, &self.session_limits, now()) {
            Presented::Current(next, token) => (Arc::new(*next), token),
            // Written once more, because the first time may not be durable yet.
            Presented::Repeated(token) => (Arc::clone(session), token),
            Presented::Expired => return Err(Refusal::InvalidRefreshToken.into()),
            Presented::Replayed => {
                log::warn!(
                    session:% = session.id, user_id = session.user_id.0;
                    "a refresh token was used again, so that somebody may have a copy of it; the session ends"
                );
                return Ok(Checked::Replayed(end(session, EndReason::Replayed)));
            }
        };
        let effect = Effect::Session { before: Some(Arc::clone(session)), after: Arc::clone(&after) };
        Ok(Checked::Granted(Box::new(Grant { user, session: after, token }), effect))
    }

    /// Resolves once the change is durable.
    fn grant(
        &mut self,
        context: &mut Context<Self>,
        permit: Permit,
        (grant, effects): (Grant, Vec<Effect>),
        initiator: Initiator,
    ) -> ResponseFuture<Result<Grant, StoreError>> {
        let durable = self.stage(context, permit, effects, initiator);
        Box::pin(async { durable.await.map(|()| grant) })
    }
}

/// Ends a session now.
fn end(session: &Arc<Session>, reason: EndReason) -> Effect {
    Effect::SessionEnded { before: Arc::clone(session), ended: EndedSession { id: session.id, at: now() }, reason }
}
