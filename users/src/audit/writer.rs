//! The thread that owns the files. It gathers events while others are being made durable, so that one fsync is enough for
//! all of them.
//!
//! A thread and not an actor: all that it does is wait for the disk. Its queue is bounded. An event that waits for its line
//! is refused where the queue is full; any other one is lost then, and counted, and a later line says how many were.

use std::{
    io::{self, Write},
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use chassis::{
    config::{StartError, counted},
    store::{AbortOnPanic, StoreFault},
    timestamp::Timestamp,
};
use prometheus_client::{metrics::counter::Counter, registry::Registry};

use super::{
    event::Event,
    files::{Files, Found, Timed},
    settings::{AuditSettings, FOLDER},
};

/// Maximum number of messages that wait for the thread: as many as two full batches of the store have changes, and as many
/// failed sign-ins. With events of at most 2 KiB they take 4 MiB.
const QUEUE_MAX: usize = 2048;
/// No more is gathered from this number of events on.
const BATCH_EVENTS: usize = 512;
/// How long the answers have to leave the process before it aborts after a failed fsync.
const ABORT_DELAY: Duration = Duration::from_millis(250);
const MIB: u64 = 1024 * 1024;

/// Gets the outcome of a batch.
type Reply = Box<dyn FnOnce(Result<(), StoreFault>) + Send>;

enum Message {
    Record(Vec<Timed>, Option<Reply>),
    /// Everything has been recorded that will be.
    Stop(Reply),
}

/// The audit log. A clone is another handle to the same one.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: SyncSender<Message>,
}

#[derive(Clone)]
struct Metrics {
    lines: Counter,
    lost: Counter,
}

impl Audit {
    /// Opens the log in a data folder that this process has locked, mends its end, and records that the service has
    /// started.
    ///
    /// # Errors
    /// Names what cannot be used. A full disk is no error: the events are counted as lost.
    pub(crate) fn open(data: &Path, settings: AuditSettings, registry: &mut Registry) -> Result<Self, StartError> {
        let (files, found) = Files::open(&data.join(FOLDER), settings.mib_max * MIB)?;
        let metrics = Metrics { lines: Counter::default(), lost: Counter::default() };
        let registry = registry.sub_registry_with_prefix("users_audit");
        registry.register("lines", "Lines written to the audit log", metrics.lines.clone());
        registry.register("lost_events", "Events that could not be written to the audit log", metrics.lost.clone());
        let mut writer = Writer { files, on_stdout: settings.on_stdout, lost: Arc::default(), metrics };
        let started = [report(found), Some(Event::service_started())].into_iter().flatten().map(timed);
        match writer.write(started.collect()) {
            Ok(()) => {}
            Err(StoreFault::StorageFull(_)) => log::warn!("the disk is full: nothing can be written to the audit log"),
            Err(fault) => return Err(StartError::failed(format!("cannot write the audit log: {}", fault.chain()))),
        }
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let run = move || {
            let _abort_on_panic = AbortOnPanic("audit log");
            writer.run(&messages);
        };
        thread::Builder::new().name("audit".to_owned()).spawn(run).map_err(StartError::failed)?;
        Ok(Self { queue })
    }

    /// Records events, and returns once they are durable. Blocks this thread.
    ///
    /// # Errors
    /// They were not recorded, or the outcome is unknown.
    pub(crate) fn record_blocking(&self, events: Vec<Event>) -> Result<(), StoreFault> {
        self.send_blocking(|reply| Message::Record(events.into_iter().map(timed).collect(), Some(reply)))
    }

    /// Records that the service ends, as the last event, and closes the files. Blocks this thread.
    ///
    /// # Errors
    /// Not everything was recorded.
    pub(crate) fn stop_blocking(&self) -> Result<(), StoreFault> {
        self.send_blocking(Message::Stop)
    }

    fn send_blocking(&self, message: impl FnOnce(Reply) -> Message) -> Result<(), StoreFault> {
        let (sender, answered) = sync_channel(1);
        // Whoever asks waits for it.
        let reply = Box::new(move |outcome| drop(sender.try_send(outcome)));
        self.queue.try_send(message(reply)).map_err(|error| match error {
            TrySendError::Full(_) => StoreFault::Busy(None),
            TrySendError::Disconnected(_) => StoreFault::Stopping,
        })?;
        answered.recv().unwrap_or(Err(StoreFault::Stopping))
    }
}

/// An event at the time at which it happens.
fn timed(event: Event) -> Timed {
    (Timestamp::from(SystemTime::now()), event)
}

/// The event of what a start found, which it also logs.
fn report(found: Found) -> Option<Event> {
    match found {
        Found::Whole => None,
        Found::Cut { file, bytes } => {
            log::warn!(file, bytes; "removed the end of the audit log, a write that a crash interrupted");
            Some(Event::mended(&file, bytes))
        }
        Found::Damaged { file, bytes } => {
            log::error!(file; "the audit log was changed or damaged; `users audit verify` says where");
            Some(Event::damaged(&file, bytes))
        }
    }
}

/// What the thread owns.
struct Writer {
    files: Files,
    on_stdout: bool,
    /// Events that were lost since the last line.
    lost: Arc<AtomicU64>,
    metrics: Metrics,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut batch = Batch::default();
            batch.add(first);
            while batch.has_room() {
                match messages.try_recv() {
                    Ok(message) => batch.add(message),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            let Batch { events, replies, stop } = batch;
            let outcome = self.write(events);
            if let Err(fault @ StoreFault::OutcomeUnknown(_)) = &outcome {
                fail(fault);
            }
            replies.into_iter().for_each(|reply| reply(outcome.clone()));
            if let Some(reply) = stop {
                return reply(outcome);
            }
        }
    }

    /// Makes events durable, after one that tells how many were lost before them.
    fn write(&mut self, events: Vec<Timed>) -> Result<(), StoreFault> {
        if events.is_empty() {
            return Ok(());
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let gap = (lost > 0).then(|| timed(Event::events_lost(lost)));
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let all: Vec<Timed> = gap.into_iter().chain(events).collect();
        let before = self.files.end().seq;
        match self.files.append(&all) {
            Ok(lines) => {
                self.metrics.lines.inc_by(self.files.end().seq - before);
                if self.on_stdout {
                    // Whoever reads it may have gone: the files have the lines.
                    let _ = io::stdout().lock().write_all(&lines);
                }
                Ok(())
            }
            Err(fault) => {
                self.lost.fetch_add(lost + count, Ordering::Relaxed);
                self.metrics.lost.inc_by(count);
                log::error!("{} could not be written to the audit log: {}", counted(all.len(), "event"), fault.chain());
                Err(fault)
            }
        }
    }
}

/// Events that are made durable together.
#[derive(Default)]
struct Batch {
    events: Vec<Timed>,
    replies: Vec<Reply>,
    stop: Option<Reply>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.events.len() < BATCH_EVENTS && self.stop.is_none()
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Record(events, reply) => {
                self.events.extend(events);
                self.replies.extend(reply);
            }
            Message::Stop(reply) => {
                self.events.push(timed(Event::service_stopped()));
                self.stop = Some(reply);
            }
        }
    }
}

/// Aborts the process as soon as the answers have had time to leave: after a failed fsync, nobody knows what the disk has.
fn fail(fault: &StoreFault) {
    log::error!("the audit log could not be made durable; the process ends: {}", fault.chain());
    thread::spawn(|| {
        thread::sleep(ABORT_DELAY);
        process::abort();
    });
}
