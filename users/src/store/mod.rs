//! Keeps the users. The handle here hides the actor behind it: callers see methods, users and [`StoreError`], and
//! neither messages nor mailboxes nor files.

mod actor;
mod files;
mod folder;
mod metrics;
mod reads;
mod record;
mod staged;
mod table;
mod writes;

use std::{error::Error, io, path::Path, sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use chassis::{conditional::IfMatch, config::StartError, identity::UserId};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use self::{
    actor::{Admitted, StoreActor},
    files::{Files, Loaded},
    folder::WriteError,
    metrics::StoreMetrics,
};
use crate::domain::{Folded, NewUser, PasswordHash, Protection, Refusal, User, UserEdit};

/// So many changes may wait for the disk: two full batches, the one being written and the next. Each takes about 2 KiB.
const WRITES_MAX: usize = 1024;
/// So many reads may wait for the actor. They wait for no disk, so that writes that stall cannot use them up.
const READS_MAX: usize = 1024;
/// A store that is told to stop has so long to write what is staged.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting. Nothing was done; trying again may help.
    #[error("too much is waiting for the users store")]
    Busy,
    /// The service is stopping. Nothing was done.
    #[error("the users store is stopping")]
    Stopping,
    /// The disk is full. Nothing was done.
    #[error("the disk is full")]
    StorageFull(#[source] Arc<io::Error>),
    /// The disk refused the write. Nothing was done.
    #[error("cannot write the users")]
    WriteFailed(#[source] Arc<io::Error>),
    /// The change may or may not be on the disk.
    #[error("the write may or may not be durable")]
    OutcomeUnknown(#[source] Arc<io::Error>),
    /// Every id has been used.
    #[error("there are no more user ids")]
    IdsExhausted,
}

impl StoreError {
    /// The error with its sources, for the log.
    fn chain(&self) -> String {
        let source = self.source().map_or_else(String::new, |source| format!(": {source}"));
        format!("{self}{source}")
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full(error) => Self::StorageFull(Arc::new(error)),
            WriteError::Failed(error) => Self::WriteFailed(Arc::new(error)),
            WriteError::Unknown(error) => Self::OutcomeUnknown(Arc::new(error)),
        }
    }
}

/// A store that has been read and locked, and does not serve yet.
pub(crate) struct OpenedStore {
    files: Files,
    loaded: Loaded,
    metrics: StoreMetrics,
}

impl OpenedStore {
    /// Locks and reads the data folder.
    ///
    /// # Errors
    /// Names the folder and everything that is wrong with it, which is left as it is.
    pub(crate) fn open(path: &Path, registry: &mut Registry) -> Result<Self, StartError> {
        let metrics = StoreMetrics::register(registry);
        let (files, loaded) = Files::open(path, metrics.clone())?;
        Ok(Self { files, loaded, metrics })
    }

    /// Whether there is no user at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.loaded.table.users().is_empty()
    }

    /// Whether nobody may manage users.
    pub(crate) const fn has_no_admin(&self) -> bool {
        self.loaded.table.admins() == 0
    }

    /// The next free id.
    pub(crate) const fn next_id(&self) -> UserId {
        UserId(self.loaded.next_id)
    }

    /// The cost of the dearest hash of all.
    pub(crate) fn cost_max(&self) -> Option<u32> {
        self.loaded.table.users().values().map(|user| user.hashed_password.cost()).max()
    }

    /// Adds the first users to an empty store, durably.
    ///
    /// # Errors
    /// Says why they cannot be written.
    pub(crate) fn install(&mut self, users: Vec<User>) -> Result<(), StartError> {
        for user in users {
            self.loaded.next_id = self.loaded.next_id.max(user.id.0 + 1);
            self.loaded.table.put(Arc::new(user));
        }
        self.loaded.next_id_durable = self.loaded.next_id;
        self.files.save(Some(self.loaded.next_id), self.loaded.table.users()).map_err(|error| {
            StartError::failed(format!("cannot write the first users: {}", StoreError::from(error).chain()))
        })
    }

    /// Starts the actor, on a thread of its own, so that no handler delays it.
    pub(crate) fn serve(self, protection: Protection) -> UsersStore {
        let arbiter = Arbiter::new().handle();
        let addr = StoreActor::start_in_arbiter(&arbiter, move |context| {
            // Permits bound what is sent: the mailbox has room for all of it, and for the shutdown.
            context.set_mailbox_capacity(WRITES_MAX + READS_MAX + 1);
            StoreActor::new(self.files, self.loaded, protection, self.metrics)
        });
        let permits = |count| Arc::new(Semaphore::new(count));
        UsersStore { addr, arbiter, reads: permits(READS_MAX), writes: permits(WRITES_MAX) }
    }
}

/// Reads users in the form of the file.
///
/// # Errors
/// Every mistake in it.
pub(crate) fn read_users(json: &str) -> Result<Vec<User>, Vec<String>> {
    let parsed = record::parse(json.as_bytes());
    if parsed.mistakes.is_empty() { Ok(parsed.users) } else { Err(parsed.mistakes) }
}

/// The users. Cheap to clone.
#[derive(Clone)]
pub(crate) struct UsersStore {
    addr: Addr<StoreActor>,
    arbiter: ArbiterHandle,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl UsersStore {
    /// Makes a user. Resolves once it is durable on disk.
    pub(crate) async fn create(&self, new: NewUser) -> Result<Arc<User>, StoreError> {
        self.ask(&self.writes, writes::Create(new)).await
    }

    /// Changes a user that is as `if_match` says. Resolves once the change is durable on disk.
    pub(crate) async fn update(&self, id: UserId, if_match: IfMatch, edit: UserEdit) -> Result<Arc<User>, StoreError> {
        self.ask(&self.writes, writes::Update { id, if_match, edit }).await
    }

    /// Deletes a user that is as `if_match` says. Resolves once the deletion is durable on disk.
    pub(crate) async fn delete(&self, id: UserId, if_match: IfMatch) -> Result<(), StoreError> {
        self.ask(&self.writes, writes::Delete { id, if_match }).await
    }

    /// Replaces the hash of a password by one of another cost, unless the password has changed since.
    pub(crate) async fn rehash(
        &self,
        id: UserId,
        verified: PasswordHash,
        rehashed: PasswordHash,
    ) -> Result<(), StoreError> {
        self.ask(&self.writes, writes::Rehash { id, verified, rehashed }).await
    }

    /// The user of this id.
    pub(crate) async fn get(&self, id: UserId) -> Result<Arc<User>, StoreError> {
        self.ask(&self.reads, reads::Get(id)).await
    }

    /// The user of this name.
    pub(crate) async fn find_by_name(&self, username: Folded) -> Result<Option<Arc<User>>, StoreError> {
        self.ask(&self.reads, reads::FindByName(username)).await
    }

    /// Up to `limit` users whose ids follow `after`, in the order of their ids.
    pub(crate) async fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        self.ask(&self.reads, reads::List { after, limit }).await
    }

    /// Whether the store is alive and able to serve.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.ask(&self.reads, reads::Ping).await
    }

    /// Writes and answers everything that was asked before, and lets go of the folder.
    ///
    /// # Errors
    /// The store did not come to an end in time.
    pub(crate) async fn shutdown(&self) -> Result<(), StartError> {
        let closed = tokio::time::timeout(SHUTDOWN_DEADLINE, self.addr.send(reads::Shutdown)).await;
        self.arbiter.stop();
        match closed {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(_)) | Err(_)) => Err(StartError::failed("the users store ended before it was told to")),
            Err(_) => Err(StartError::failed("the users store did not finish its last writes in time")),
        }
    }

    async fn ask<M, T>(&self, permits: &Arc<Semaphore>, verb: M) -> Result<T, StoreError>
    where
        M: Message<Result = Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
        StoreActor: Handler<Admitted<M>>,
    {
        let permit = Arc::clone(permits).try_acquire_owned().map_err(|_| StoreError::Busy)?;
        self.addr.send(Admitted { verb, permit }).await.unwrap_or(Err(StoreError::Stopping))
    }
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::process::ExitStatusExt, process::Command, thread};

    use actix::{Context, Handler, Message};

    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for StoreActor {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("on purpose");
        }
    }

    /// Says to a child of this test that it is the one to die.
    const TO_DIE: &str = "USERS_TEST_STORE_PANIC";

    #[test]
    fn a_panic_of_the_actor_ends_the_process() {
        if env::var_os(TO_DIE).is_some() {
            return panic_in_the_actor();
        }
        let name = "store::tests::a_panic_of_the_actor_ends_the_process";
        let child =
            Command::new(env::current_exe().unwrap()).args(["--exact", name]).env(TO_DIE, "1").output().unwrap();
        assert_eq!(child.status.signal(), Some(6), "it aborts: {child:?}");
    }

    /// Ends this process, unless the guard is broken.
    fn panic_in_the_actor() {
        let folder = tempfile::tempdir().unwrap();
        actix_rt::System::new().block_on(async {
            let opened = OpenedStore::open(folder.path(), &mut Registry::default()).unwrap();
            let store = opened.serve(Protection::default());
            assert!(store.ping().await.is_ok());
            let _ = store.addr.send(Panic).await;
        });
        // The abort comes from the thread of the actor, a moment after the message is lost.
        thread::sleep(Duration::from_secs(10));
    }
}
