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
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use chassis::{
    config::StartError,
    store::{AbortOnPanic, StoreFault},
    timestamp::Timestamp,
};
use hmac::{Hmac, Mac};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use sha2::Sha256;

use super::{
    event::{Account, Event},
    files::{Files, Found, Timed},
    repeats::{Repeats, WINDOW},
    settings::{AuditSettings, FOLDER, Opener},
};

/// Maximum number of messages that wait for the thread: as many as two full batches of the store have changes, and as many
/// failed sign-ins. With events of at most 2 KiB they take 4 MiB.
const QUEUE_MAX: usize = 2048;
/// No more is gathered from this number of events on.
const BATCH_EVENTS: usize = 512;
/// How long the answers have to leave the process before it aborts after a failed fsync.
const ABORT_DELAY: Duration = Duration::from_millis(250);
const MIB: u64 = 1024 * 1024;
/// How many different failures are listed in a minute for each 4 MiB of the log. With two lines of about 350 bytes for each, 64
/// of them in the default log are 64 MiB a day: four days of a flood, at least, before it has pushed out everything else.
const MIB_PER_FAILURE: u64 = 4;
const NAME_HASH_DIGITS: usize = 16;

/// Gets the outcome of a batch.
type Reply = Box<dyn FnOnce(Result<(), StoreFault>) + Send>;

enum Message {
    Record(Vec<Timed>, Option<Reply>),
    /// This program ends: the last event.
    Stop(Opener, Reply),
}

/// The audit log. A clone is another handle to the same one.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: SyncSender<Message>,
    opener: Opener,
    is_required: bool,
    lost: Lost,
    /// Random, and gone with the process, so that nobody can ever try passwords against the hashes in the log.
    name_key: Arc<Hmac<Sha256>>,
}

/// Counts the events that were lost since the last line.
#[derive(Clone)]
struct Lost {
    since_last_line: Arc<AtomicU64>,
    total: Counter,
}

impl Lost {
    fn add(&self, events: u64) {
        self.since_last_line.fetch_add(events, Ordering::Relaxed);
        self.total.inc_by(events);
    }
}

impl Audit {
    /// Opens the log in a data folder that this process has locked, mends its end, and records that this program
    /// has started.
    ///
    /// # Errors
    /// Names what cannot be used. A full disk is no error: the events are counted as lost.
    pub(crate) fn open(data: &Path, settings: AuditSettings, registry: &mut Registry) -> Result<Self, StartError> {
        let (files, found) = Files::open(&data.join(FOLDER), settings.mib_max * MIB)?;
        let (lines, lost) = (Counter::default(), Lost { since_last_line: Arc::default(), total: Counter::default() });
        let registry = registry.sub_registry_with_prefix("users_audit");
        registry.register("lines", "Lines written to the audit log", lines.clone());
        registry.register("lost_events", "Events that could not be written to the audit log", lost.total.clone());
        let AuditSettings { on_stdout, is_required, mib_max, opener } = settings;
        let repeats = Repeats::new(usize::try_from(mib_max / MIB_PER_FAILURE).unwrap_or(usize::MAX));
        let mut writer = Writer { files, on_stdout, is_required, repeats, lost: lost.clone(), lines };
        let started = [report(found), Some(Event::started(opener))].into_iter().flatten().map(timed);
        match writer.write(started.collect(), 1) {
            Ok(()) => {}
            Err(StoreFault::StorageFull(_)) => log::warn!("the disk is full: nothing can be written to the audit log"),
            Err(fault) => return Err(StartError::failed(format!("cannot write the audit log: {}", fault.chain()))),
        }
        let name_key = Arc::new(name_key().map_err(StartError::failed)?);
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let run = move || {
            let _abort_on_panic = AbortOnPanic("audit log");
            writer.run(&messages);
        };
        thread::Builder::new().name("audit".to_owned()).spawn(run).map_err(StartError::failed)?;
        Ok(Self { queue, opener, is_required, lost, name_key })
    }

    /// Records an event without waiting for it. Where it cannot be recorded, it is counted as lost.
    pub(crate) fn note(&self, event: Event) {
        if self.queue.try_send(Message::Record(vec![timed(event)], None)).is_err() {
            self.lost.add(1);
        }
    }

    /// Records events, and returns once they are durable. Blocks this thread.
    ///
    /// # Errors
    /// They were not recorded, and must be, or the outcome is unknown.
    pub(crate) fn record_blocking(&self, events: Vec<Event>) -> Result<(), StoreFault> {
        let count = count(&events);
        let sent = self.send_blocking(|reply| Message::Record(events.into_iter().map(timed).collect(), Some(reply)));
        if matches!(sent, Err(StoreFault::Busy(_))) { self.allowed(count, sent) } else { sent }
    }

    /// A name that no user has, as the log may have it.
    pub(crate) fn unknown(&self, name: &str) -> Account {
        let hash = Hmac::clone(&self.name_key).chain_update(name).finalize().into_bytes();
        let mut name_hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        name_hash.truncate(NAME_HASH_DIGITS);
        Account::Unknown { name_hash }
    }

    /// Records that this program ends, as the last event, and closes the files. Blocks this thread.
    ///
    /// # Errors
    /// Not everything was recorded.
    pub(crate) fn stop_blocking(&self) -> Result<(), StoreFault> {
        self.send_blocking(|reply| Message::Stop(self.opener, reply))
    }

    fn send_blocking(&self, message: impl FnOnce(Reply) -> Message) -> Result<(), StoreFault> {
        let (sender, answered) = sync_channel(1);
        // Whoever asks waits for it.
        let reply = Box::new(move |outcome| drop(sender.try_send(outcome)));
        self.send(message(reply))?;
        answered.recv().unwrap_or(Err(StoreFault::Stopping))
    }

    fn send(&self, message: Message) -> Result<(), StoreFault> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => StoreFault::Busy(None),
            TrySendError::Disconnected(_) => StoreFault::Stopping,
        })
    }

    /// Lets what was not sent go on where it need not be recorded.
    fn allowed(&self, events: u64, sent: Result<(), StoreFault>) -> Result<(), StoreFault> {
        if self.is_required {
            return sent;
        }
        self.lost.add(events);
        Ok(())
    }
}

fn name_key() -> Result<Hmac<Sha256>, String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| format!("cannot make a key for the audit log: {error}"))?;
    Hmac::new_from_slice(&key).map_err(|error| error.to_string())
}

fn count<T>(things: &[T]) -> u64 {
    u64::try_from(things.len()).unwrap_or(u64::MAX)
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
    is_required: bool,
    repeats: Repeats,
    lost: Lost,
    lines: Counter,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let mut batch = Batch::default();
            let timeout = self.repeats.window_end().map_or(WINDOW, |end| end.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(timeout) {
                Ok(message) => batch.add(message, &mut self.repeats),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while batch.has_room() {
                match messages.try_recv() {
                    Ok(message) => batch.add(message, &mut self.repeats),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            batch.note(self.repeats.end_window(Instant::now()));
            let Batch { events, unawaited, replies, stop } = batch;
            let outcome = self.write(events, unawaited);
            replies.into_iter().for_each(|reply| reply(outcome.clone()));
            if let Some(reply) = stop {
                return reply(outcome);
            }
            if let Err(fault @ StoreFault::OutcomeUnknown(_)) = &outcome {
                return fail(fault);
            }
        }
    }

    /// Makes events durable, after one that tells how many were lost before them. Nobody is told of `unawaited` ones.
    fn write(&mut self, events: Vec<Timed>, unawaited: u64) -> Result<(), StoreFault> {
        if events.is_empty() {
            return Ok(());
        }
        let (before, written) = (self.files.end().seq, count(&events));
        let lost = self.lost.since_last_line.swap(0, Ordering::Relaxed);
        let gap = (lost > 0).then(|| timed(Event::events_lost(lost)));
        let all: Vec<Timed> = gap.into_iter().chain(events).collect();
        let fault = match self.files.append(&all) {
            Ok(lines) => {
                self.lines.inc_by(self.files.end().seq - before);
                if self.on_stdout {
                    // Whoever reads it may have gone: the files have the lines.
                    let _ = io::stdout().lock().write_all(&lines);
                }
                return Ok(());
            }
            Err(fault) => fault,
        };
        log::error!("cannot write to the audit log: {}", fault.chain());
        // What comes again must be written then. What was counted is lost.
        self.lost.add(count(&self.repeats.take()));
        self.lost.since_last_line.fetch_add(lost, Ordering::Relaxed);
        let is_refused = self.is_required || matches!(fault, StoreFault::OutcomeUnknown(_));
        self.lost.add(if is_refused { unawaited } else { written });
        if is_refused { Err(fault) } else { Ok(()) }
    }
}

/// Events that are made durable together.
#[derive(Default)]
struct Batch {
    events: Vec<Timed>,
    /// How many of them nobody waits for.
    unawaited: u64,
    replies: Vec<Reply>,
    stop: Option<Reply>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.events.len() < BATCH_EVENTS && self.stop.is_none()
    }

    fn add(&mut self, message: Message, repeats: &mut Repeats) {
        match message {
            Message::Record(events, reply) => {
                let (now, before) = (Instant::now(), self.events.len());
                self.events.extend(events.into_iter().filter(|(_, event)| repeats.is_new(event, now)));
                match reply {
                    Some(reply) => self.replies.push(reply),
                    None => self.unawaited += count(&self.events[before..]),
                }
            }
            Message::Stop(opener, reply) => {
                self.note(repeats.take());
                self.unawaited += 1;
                self.events.push(timed(Event::ended(opener)));
                self.stop = Some(reply);
            }
        }
    }

    fn note(&mut self, events: Vec<Event>) {
        self.unawaited += count(&events);
        self.events.extend(events.into_iter().map(timed));
    }
}

/// Aborts the process as soon as the answers have had time to leave: after a failed fsync, nobody knows what the disk has.
fn fail(fault: &StoreFault) {
    log::error!("an fsync failed, so that the state of the audit log is unknown; the process ends: {}", fault.chain());
    thread::spawn(|| {
        thread::sleep(ABORT_DELAY);
        process::abort();
    });
}
