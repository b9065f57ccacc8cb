//! Publishes the events of orders to a stream of NATS JetStream, in order and at least once.
//!
//! In the order to read: [`server`] (where), [`stream`] (how), this file (when), [`metrics`].
//!
//! It is a task of its own, which reads events through the handle of the store and appends them to the stream; no request waits
//! for it. Where the server is away, slow or full, events wait in the database, a batch of them in memory, and are tried again.
//!
//! The tricky part is to know where to go on. What was published last is not kept in the database: the last message of the
//! stream says it. So it is right also where an answer was lost, where several replicas publish, and where the server lost what
//! it had acknowledged, as NATS may in a power failure: that is then published again. (A row in the database would need a write
//! for each batch, and could be ahead of the stream.)

mod metrics;
mod server;
mod stream;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use chassis::{problem::error_chain, store::AbortOnPanic, timestamp::Timestamp};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

pub use self::server::EventsServer;
use self::{
    metrics::RelayMetrics,
    stream::{Appended, StreamEnd, StreamFault},
};
use crate::{
    domain::{Event, EventId},
    store::{OrdersRepo, StoreError},
};

/// Maximum number of events that are sent before the first is acknowledged. With 4 KiB each at most, 400 KiB.
const BATCH_EVENTS_MAX: usize = 100;
/// Interval at which it looks for commits of other processes, and whether it is still connected.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it leaves publishing to another replica that was faster, before it tries again.
const OUTRUN_PAUSE: Duration = Duration::from_secs(5);
/// Pause after the first failure; each further one in a row doubles it.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause after a failure.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(8);

/// Why events are not published.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Stream(#[from] StreamFault),
    #[error("cannot read the events")]
    Store(#[from] StoreError),
}

/// Publishes events until it is stopped.
pub(crate) struct Relay {
    repo: OrdersRepo,
    server: EventsServer,
    committed: watch::Receiver<()>,
    /// `None` before the first connection, and after a failure.
    end: Option<StreamEnd>,
    /// The last event that is known to be published. Before the first connection: the newest at the start, so that what has happened
    /// since counts as waiting.
    published: Option<EventId>,
    /// Number of failures in a row.
    failures: u32,
    status: RelayStatus,
    metrics: RelayMetrics,
    _abort_on_panic: AbortOnPanic,
}

/// Why events are not published, for health; `None` where they are. A clone shows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct RelayStatus(Arc<Mutex<Option<String>>>);

impl RelayStatus {
    /// What to show of it.
    pub(crate) fn shown(&self) -> String {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("not published: {why}"))
    }

    /// Returns whether it is another one than before.
    fn set(&self, failure: Option<String>) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *current != failure;
        *current = failure;
        is_new
    }
}

/// A relay that runs.
pub(crate) struct RunningRelay {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningRelay {
    /// Ends it. What it has not published yet, the next start does.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        // A panic has ended the process.
        let _ = self.task.await;
    }
}

/// What a step has led to.
enum Step {
    /// There may be more to publish.
    Published,
    /// Everything is published.
    Idle,
    /// Another replica publishes.
    Outrun,
}

impl Relay {
    /// A relay that does nothing yet.
    pub(crate) fn new(repo: OrdersRepo, server: EventsServer, registry: &mut Registry) -> Self {
        let status = RelayStatus::default();
        status.set(Some("not connected yet".to_owned()));
        Self {
            committed: repo.committed(),
            repo,
            server,
            end: None,
            published: None,
            failures: 0,
            status,
            metrics: RelayMetrics::register(registry),
            _abort_on_panic: AbortOnPanic("orders relay"),
        }
    }

    /// Why events are not published, if they are not.
    pub(crate) fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    /// Starts to publish. Needs an actix `System`.
    pub(crate) fn start(self) -> RunningRelay {
        let (stop, stopped) = oneshot::channel();
        let task = actix_rt::spawn(async move {
            tokio::select! {
                () = self.run() => {}
                // At any moment: what the server got and what it did not, the next start reads from the stream.
                _ = stopped => {}
            }
        });
        RunningRelay { stop, task }
    }

    async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(step) => {
                    self.has_worked();
                    match step {
                        Step::Published => {}
                        Step::Outrun => sleep(OUTRUN_PAUSE).await,
                        Step::Idle => {
                            if matches!(timeout(LOOK_INTERVAL, self.committed.changed()).await, Ok(Err(_))) {
                                // The writer has ended.
                                return;
                            }
                        }
                    }
                }
                Err(error) => {
                    self.has_failed(&error).await;
                    sleep(self.pause()).await;
                }
            }
        }
    }

    /// Publishes the next events, if there are any.
    async fn step(&mut self) -> Result<Step, RelayError> {
        if self.published.is_none() {
            self.published = Some(self.repo.newest_event().await?);
        }
        let mut end = match self.end.take() {
            Some(end) if end.is_connected() => end,
            Some(_) => return Err(StreamFault::told("the connection to the server was lost").into()),
            None => self.open().await?,
        };
        self.published = Some(end.last_event());
        // Noted before reading, so that what is committed meanwhile wakes it up again.
        self.committed.mark_unchanged();
        let events = self.repo.events(end.last_event(), BATCH_EVENTS_MAX).await?;
        self.measure(end.last_event(), &events).await?;
        let step = if events.is_empty() { Step::Idle } else { self.publish(&mut end, &events).await? };
        self.end = Some(end);
        Ok(step)
    }

    async fn publish(&mut self, end: &mut StreamEnd, events: &[Event]) -> Result<Step, RelayError> {
        let appended = end.append(events).await;
        self.published = Some(end.last_event());
        let count = events.iter().take_while(|event| event.id <= end.last_event()).count();
        self.metrics.published.inc_by(count.try_into().unwrap_or(u64::MAX));
        match appended? {
            Appended::All => Ok(Step::Published),
            Appended::Outrun => {
                end.find().await?;
                Ok(Step::Outrun)
            }
        }
    }

    async fn open(&self) -> Result<StreamEnd, RelayError> {
        let end = StreamEnd::open(&self.server).await?;
        let newest = self.repo.newest_event().await?;
        if end.last_event() > newest {
            return Err(StreamFault::told(format!(
                "the stream has event {}, and the database none after {newest}: was it restored from a backup? New events would \
                 have the numbers of others; see docs/events.md",
                end.last_event()
            ))
            .into());
        }
        log::info!(server:% = self.server, last_event:% = end.last_event(); "events are published");
        Ok(end)
    }

    /// Shows what waits, where `events` are the next ones after `published`.
    async fn measure(&self, published: EventId, events: &[Event]) -> Result<(), StoreError> {
        let waiting = match events.len() {
            BATCH_EVENTS_MAX => self.repo.newest_event().await?.0 - published.0,
            fewer => i64::try_from(fewer).unwrap_or(i64::MAX),
        };
        self.metrics.waiting.set(waiting);
        let now = Timestamp::from(SystemTime::now()).unix_micros();
        let age = events.first().map_or(0, |oldest| now - oldest.order.updated_at.unix_micros());
        self.metrics.oldest_waiting_seconds.set(seconds(age));
        Ok(())
    }

    fn has_worked(&mut self) {
        self.failures = 0;
        self.status.set(None);
        self.metrics.publishing.set(1);
    }

    async fn has_failed(&mut self, error: &RelayError) {
        self.end = None;
        self.failures = self.failures.saturating_add(1);
        self.metrics.publishing.set(0);
        let why = error_chain(error);
        if self.status.set(Some(why.clone())) {
            log::warn!(server:% = self.server; "events are not published, and will be later: {why}");
        }
        // Where the database cannot be read either, the metrics stay as they are.
        drop(self.measure_without_stream().await);
    }

    async fn measure_without_stream(&self) -> Result<(), StoreError> {
        let Some(published) = self.published else { return Ok(()) };
        let events = self.repo.events(published, BATCH_EVENTS_MAX).await?;
        self.measure(published, &events).await
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        RETRY_PAUSE_MIN.saturating_mul(1 << doublings).min(RETRY_PAUSE_MAX)
    }
}

fn seconds(micros: i64) -> f64 {
    Duration::from_micros(micros.try_into().unwrap_or(0)).as_secs_f64()
}
