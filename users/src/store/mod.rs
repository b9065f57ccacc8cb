//! Keeps the users and their sessions. [`UsersStore`] is a handle that hides the actor and the files behind it: callers see methods, users
//! and [`StoreError`], and neither messages nor mailboxes.
//!
//! Reads and writes are messages to the one actor that owns them ([`json`]). Each has a queue of its own, bounded by
//! permits, so that writes waiting for the disk leave room for reads. A write is answered once it is durable.

mod ended_feed;
mod error;
mod json;
mod metrics;

use std::{path::Path, sync::Arc};

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use chassis::{
    conditional::IfMatch,
    config::StartError,
    identity::UserId,
    store::{Ping, Queue, StoreFault, lifecycle, metrics::store_registry},
};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use zeroize::Zeroizing;

use self::{
    ended_feed::{EndedFeed, PAGE_MAX},
    json::{
        actor::{Reports, StoreActor},
        files::Files,
        reads::{CheckAvailable, Count, EndedSince, FindByName, Get, List, SessionsOf},
        session_writes::{EndSession, EndSessions, OpenSession, Refresh},
        writes::{Create, Delete, SetLock, SetPassword, Update},
    },
    metrics::StoreMetrics,
};
pub(crate) use self::{
    ended_feed::{FeedCursor, FeedPage, Waiting},
    error::{OpenError, StoreError},
    json::{
        actor::Rules,
        contents::Summary,
        import::{Imported, export, import, rehearse_import},
        record::read_users,
        rehearsal::{check, rehearse},
        repair::Repair,
        session_writes::Grant,
    },
};
use crate::audit::{Audit, AuditSettings, Event, Initiator};
use crate::domain::{
    Email, EndReason, Folded, Lock, NONCE_BYTES, NewUser, Nonce, Origin, PasswordHash, RefreshToken, Session,
    SessionId, TOKEN_BYTES, User, UserEdit, UserFilter, UserName, UserType,
};

/// Maximum number of queued writes: two full batches of 512, the one being written and the next. Each takes about 2 KiB.
const WRITES_MAX: usize = 1024;
/// Maximum number of queued reads. They never wait for the disk.
const READS_MAX: usize = 1024;

/// The users. A clone is another handle to the same store.
#[derive(Clone)]
pub(crate) struct UsersStore {
    actor: Addr<StoreActor>,
    arbiter: ArbiterHandle,
    reads: Queue,
    writes: Queue,
    audit: Audit,
    /// Who makes the changes that are asked for by this handle.
    initiator: Initiator,
    hash_cost_max: Option<u32>,
    ended: EndedFeed,
}

impl UsersStore {
    /// Locks and reads the data folder, opens the audit log in it and starts the actor, on a thread of its own. Where there
    /// are no users yet, `first_users` makes them, with ids from the first one that was never used. Needs an actix `System`.
    ///
    /// # Errors
    /// Names the folder and everything that is wrong with it, which is left as it is; or the error of `first_users`.
    pub(crate) fn open(
        path: &Path,
        rules: Rules,
        first_users: impl FnOnce(UserId) -> Result<Vec<User>, StartError>,
        audit: AuditSettings,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let store_registry = store_registry("users", registry);
        let metrics = StoreMetrics::register(store_registry);
        let reads = Queue::register("reads", READS_MAX, store_registry);
        let writes = Queue::register("writes", WRITES_MAX, store_registry);
        let (ended_count, count) = watch::channel(0);
        let life = *random().map_err(|fault| StartError::failed(fault.chain()))?;
        let ended = EndedFeed::new(life, count, rules.sessions.ended_kept, store_registry);
        let (files, mut loaded) = Files::open(path, &metrics)?;
        let audit = Audit::open(path, audit, registry)?;
        if loaded.is_empty() {
            let users = first_users(loaded.next_id())?;
            if let Some(event) = Event::first_users_created(&users) {
                // Before the users are: see `audit`.
                let recorded = audit.record_blocking(vec![event]);
                recorded
                    .map_err(|fault| StartError::failed(format!("cannot write the audit log: {}", fault.chain())))?;
                files.install(&mut loaded, users)?;
            }
        }
        if !loaded.has_admin() {
            log::warn!("there is no admin who can sign in, so that nobody may manage users");
        }
        let hash_cost_max = loaded.hash_cost_max();
        let arbiter = Arbiter::new().handle();
        let audit_of_actor = audit.clone();
        let actor = StoreActor::start_in_arbiter(&arbiter, move |context| {
            // Permits bound what is sent: the mailbox has room for all of it, and for the shutdown.
            context.set_mailbox_capacity(WRITES_MAX + READS_MAX + 1);
            StoreActor::new(files, loaded, rules, Reports { audit: audit_of_actor, metrics, ended_count })
        });
        let initiator = Initiator::default();
        Ok(Self { actor, arbiter, reads, writes, audit, initiator, hash_cost_max, ended })
    }

    /// The highest bcrypt cost among the password hashes, as of the start.
    pub(crate) const fn hash_cost_max(&self) -> Option<u32> {
        self.hash_cost_max
    }

    /// The audit log, in the folder of the store.
    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// A handle for the changes that somebody asks for: the audit log says by whom they are.
    pub(crate) fn by(&self, initiator: Initiator) -> Self {
        Self { initiator, ..self.clone() }
    }

    /// Creates a user. Resolves once it is durable on disk.
    ///
    /// The user is created even if the caller stops waiting: the message is queued by then.
    pub(crate) async fn create(&self, new: NewUser) -> Result<Arc<User>, StoreError> {
        self.writes.send(&self.actor, Create { new, initiator: self.initiator.clone() }).await
    }

    /// Changes a user whose version satisfies `if_match`. With other rights, its sessions end. Resolves once the change is durable on disk.
    pub(crate) async fn update(&self, id: UserId, if_match: IfMatch, edit: UserEdit) -> Result<Arc<User>, StoreError> {
        self.writes.send(&self.actor, Update { id, if_match, edit, initiator: self.initiator.clone() }).await
    }

    /// Deletes a user whose version satisfies `if_match`, and ends its sessions. Resolves once the deletion is durable on disk.
    pub(crate) async fn delete(&self, id: UserId, if_match: IfMatch) -> Result<(), StoreError> {
        self.writes.send(&self.actor, Delete { id, if_match, initiator: self.initiator.clone() }).await
    }

    /// Sets another password, unless the one that was `verified` has changed since, and ends all sessions of the user but
    /// the one to `keep`. Resolves once it is durable on disk.
    ///
    /// # Errors
    /// [`Refusal::PasswordChanged`](crate::domain::Refusal::PasswordChanged) where it has.
    pub(crate) async fn change_password(
        &self,
        id: UserId,
        verified: PasswordHash,
        hashed_password: PasswordHash,
        keep: Option<SessionId>,
    ) -> Result<(), StoreError> {
        let (verified, initiator) = (Some(verified), self.initiator.clone());
        self.writes.send(&self.actor, SetPassword { id, verified, hashed_password, keep, initiator }).await
    }

    /// Sets another password, whatever the user has, and ends all sessions of the user. Resolves once it is durable on
    /// disk.
    pub(crate) async fn reset_password(&self, id: UserId, hashed_password: PasswordHash) -> Result<(), StoreError> {
        let initiator = self.initiator.clone();
        self.writes.send(&self.actor, SetPassword { id, verified: None, hashed_password, keep: None, initiator }).await
    }

    /// Locks a user, who then cannot sign in and whose sessions end, or unlocks it; one that is locked, or is not, stays as it is. Resolves once it
    /// is durable on disk.
    pub(crate) async fn set_lock(&self, id: UserId, locked: Option<Lock>) -> Result<Arc<User>, StoreError> {
        self.writes.send(&self.actor, SetLock { id, locked, initiator: self.initiator.clone() }).await
    }

    /// Opens a session for a user whose password was `verified`, unless the user was deleted or the password has changed
    /// since. With `rehashed`, the user gets this hash of the same password. Resolves once all of it is durable on disk.
    ///
    /// # Errors
    /// A refusal where the user is not the same any more.
    pub(crate) async fn open_session(
        &self,
        verified: Arc<User>,
        rehashed: Option<PasswordHash>,
        origin: Origin,
    ) -> Result<Grant, StoreError> {
        let token = RefreshToken::new(&*random::<TOKEN_BYTES>()?);
        let initiator = self.initiator.clone();
        self.writes.send(&self.actor, OpenSession { verified, rehashed, origin, token, initiator }).await
    }

    /// Exchanges a refresh token for the next one. Resolves once that is durable on disk.
    ///
    /// # Errors
    /// [`Refusal::InvalidRefreshToken`](crate::domain::Refusal::InvalidRefreshToken); if the token was used before, its
    /// session has ended.
    pub(crate) async fn refresh(&self, token: RefreshToken) -> Result<Grant, StoreError> {
        let nonce = Nonce(*random::<NONCE_BYTES>()?);
        self.writes.send(&self.actor, Refresh { token, nonce, initiator: self.initiator.clone() }).await
    }

    /// Ends a session of a user. Resolves once that is durable on disk.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where the user has no such session.
    pub(crate) async fn end_session(
        &self,
        user_id: UserId,
        id: SessionId,
        reason: EndReason,
    ) -> Result<(), StoreError> {
        self.writes.send(&self.actor, EndSession { user_id, id, reason, initiator: self.initiator.clone() }).await
    }

    /// Ends all sessions of a user. Resolves once that is durable on disk.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is no such user.
    pub(crate) async fn end_sessions(&self, user_id: UserId, reason: EndReason) -> Result<(), StoreError> {
        self.writes.send(&self.actor, EndSessions { user_id, reason, initiator: self.initiator.clone() }).await
    }

    /// The open sessions of a user, those used last first.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is no such user.
    pub(crate) async fn sessions_of(&self, user_id: UserId) -> Result<Vec<Arc<Session>>, StoreError> {
        self.reads.send(&self.actor, SessionsOf(user_id)).await
    }

    /// Sessions that have ended, from a cursor on, or all that still matter.
    ///
    /// # Errors
    /// [`Refusal::CursorGone`](crate::domain::Refusal::CursorGone) for a cursor from before the last start.
    pub(crate) async fn ended_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, StoreError> {
        let number = self.ended.number(cursor)?;
        let page = self.reads.send(&self.actor, EndedSince { number, limit: PAGE_MAX }).await?;
        let next = self.ended.cursor(page.next);
        Ok(FeedPage { ended: page.ended, next, has_more: page.has_more, kept_for: self.ended.kept_for })
    }

    /// Begins to wait for sessions that end from now on.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] where too many wait already.
    pub(crate) fn wait_for_ends(&self) -> Result<Waiting, StoreFault> {
        self.ended.wait()
    }

    /// The user with this id.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is none.
    pub(crate) async fn get(&self, id: UserId) -> Result<Arc<User>, StoreError> {
        self.reads.send(&self.actor, Get(id)).await
    }

    /// The user with this name.
    pub(crate) async fn find_by_name(&self, username: Folded) -> Result<Option<Arc<User>>, StoreError> {
        self.reads.send(&self.actor, FindByName(username)).await
    }

    /// Up to `limit` users whose ids follow `after`, in the order of their ids.
    ///
    /// A filter may look at every user. It does so in steps, between which the actor serves others.
    pub(crate) async fn list(
        &self,
        filter: &UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError> {
        let filter = Arc::new(filter.clone());
        let (mut users, mut go_on_after, mut is_done) = (Vec::new(), after, false);
        while !is_done {
            let step = List { filter: Arc::clone(&filter), after: go_on_after, limit: limit - users.len() };
            let found = self.reads.send(&self.actor, step).await?;
            users.extend(found.users);
            (go_on_after, is_done) = (found.go_on_after, found.go_on_after.is_none());
        }
        Ok(users)
    }

    /// The number of users of a type, or of all.
    pub(crate) async fn count(&self, user_type: Option<UserType>) -> Result<usize, StoreError> {
        self.reads.send(&self.actor, Count(user_type)).await
    }

    /// Checks whether a new user could have this name and address, before work is done for it. It reserves nothing:
    /// [`create`](Self::create) decides.
    ///
    /// # Errors
    /// The refusal that `create` would give at this moment.
    pub(crate) async fn check_available(&self, username: UserName, email: Option<Email>) -> Result<(), StoreError> {
        self.reads.send(&self.actor, CheckAvailable { username, email }).await
    }

    /// Whether reads and writes are answered.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn ping(&self) -> Result<(), StoreFault> {
        self.reads.send(&self.actor, Ping).await
    }

    /// Makes durable and answers what was sent before, refuses what comes later, and unlocks the folder.
    ///
    /// # Errors
    /// The store did not end in time, or not in order.
    pub(crate) async fn shutdown(&self) -> Result<(), StartError> {
        lifecycle::shut_down(&self.actor, &self.arbiter).await
    }
}

/// Random bytes for a refresh token.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StoreFault> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| StoreFault::failed("make a refresh token", error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::process::ExitStatusExt, process::Command, thread, time::Duration};

    use actix::{Context, Handler, Message};

    use super::*;
    use crate::domain::{Protection, SessionLimits};

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for StoreActor {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("on purpose");
        }
    }

    /// Tells a child process of this test to panic.
    const PANIC: &str = "USERS_TEST_STORE_PANIC";

    #[test]
    fn a_panic_of_the_actor_ends_the_process() {
        if env::var_os(PANIC).is_some() {
            return panic_in_the_actor();
        }
        let name = "store::tests::a_panic_of_the_actor_ends_the_process";
        let child = Command::new(env::current_exe().unwrap()).args(["--exact", name]).env(PANIC, "1").output().unwrap();
        assert_eq!(child.status.signal(), Some(6), "it aborts: {child:?}");
    }

    /// Ends this process, unless the guard is broken.
    fn panic_in_the_actor() {
        let folder = tempfile::tempdir().unwrap();
        actix_rt::System::new().block_on(async {
            let registry = &mut Registry::default();
            let day = Duration::from_secs(86_400);
            let sessions = SessionLimits { idle: day, max: day, ended_kept: day };
            let rules = Rules { protection: Protection::default(), sessions };
            let nobody = |_| Ok(Vec::new());
            let settings = AuditSettings::default();
            let store = UsersStore::open(folder.path(), rules, nobody, settings, registry).unwrap();
            assert!(store.ping().await.is_ok());
            let _ = store.actor.send(Panic).await;
        });
        // The thread of the actor aborts the process a moment after the message is dropped.
        thread::sleep(Duration::from_secs(10));
    }
}
