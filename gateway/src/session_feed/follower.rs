//! The task that follows the feed, and the handle to it.
//!
//! There is one for the process: a reload gives it another plan, and what is known stays known, so that no reload brings an
//! ended session back to life. With another plan it reads the feed from its beginning, whatever has changed.

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use chassis::identity::unix_seconds;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep_until, timeout, timeout_at},
};

use super::{
    page::Page,
    reader::{Question, ReadError, read},
};
use crate::{
    auth::{
        ended_sessions::{ENTRIES_MAX, EndedSessions, SHARDS, SessionId},
        settings::{SessionSettings, Unreachable},
    },
    upstream::{handle::Upstream, wire::client::Client},
};

/// For how long the feed is asked to wait until there is something new.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Minimum interval between two questions, unless the feed has more already: the sessions that end meanwhile come together.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Interval until the next question after the first failure; it doubles with each further one.
const RETRY_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Maximum interval until the next question after a failure: sessions that end meanwhile are to be known in 2 s.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Maximum number of answers in a row each of which says that there is more: twice what fills the table. From then on, one
/// is read with each retry.
const PAGES_MAX: usize = 2 * ENTRIES_MAX / 1000;
/// How long a session is kept after the last of its tokens has expired: their leeway, the difference between two clocks, and
/// the time in which an answer to a refresh that was sent before the end may still become a token.
const FORGET_MARGIN: Duration = Duration::from_secs(60);
/// How long the start of the gateway waits for the feed.
pub(crate) const FIRST_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle to the task. Clones share it.
#[derive(Clone)]
pub(crate) struct SessionFeed(Arc<Shared>);

struct Shared {
    ended: EndedSessions,
    /// What to follow; `None` where the configuration names no feed.
    plan: watch::Sender<Option<Arc<Plan>>>,
    is_running: AtomicBool,
    /// When everything that the feed has was last known.
    last_read: watch::Sender<Option<Instant>>,
    /// Whether it was read once, or could not be from any target.
    was_tried: watch::Sender<bool>,
    /// Why it cannot be read; `None` while it can.
    failure: Mutex<Option<String>>,
}

/// What to follow, and how.
pub(crate) struct Plan {
    pub(crate) settings: SessionSettings,
    /// The upstream that the settings name.
    pub(crate) upstream: Upstream,
    /// How long tokens are valid.
    pub(crate) ttl: Duration,
    /// When this plan was made.
    pub(crate) since: Instant,
}

impl Plan {
    fn is_same(&self, other: &Self) -> bool {
        self.settings == other.settings && self.upstream.id() == other.upstream.id() && self.ttl == other.ttl
    }

    /// For how long the feed is asked to wait. An answer must come well before the last one is too old.
    fn wait(&self) -> Duration {
        Duration::from_secs((self.settings.after / 2).as_secs()).min(WAIT_MAX)
    }

    fn is_known(&self, last_read: Option<Instant>) -> bool {
        last_read.is_some_and(|at| at.elapsed() < self.settings.after)
    }

    fn refuses(&self) -> bool {
        self.settings.unreachable == Unreachable::Refuse
    }
}

/// What is known of the feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedStatus {
    /// The upstream that it is read from.
    pub(crate) upstream: String,
    /// Whether it is known which sessions have ended, but for the last moments.
    pub(crate) is_known: bool,
    /// Whether tokens are refused while it is not.
    pub(crate) refuses: bool,
    /// Whether everything that it has was read at least once.
    pub(crate) was_read: bool,
    /// The time since that was done last, or since the feed is followed.
    pub(crate) age: Duration,
    /// Number of ended sessions whose tokens may not have expired.
    pub(crate) ended: usize,
    /// Why it cannot be read; `None` while it can.
    pub(crate) failure: Option<String>,
}

impl Default for SessionFeed {
    /// A feed that is not followed.
    fn default() -> Self {
        Self(Arc::new(Shared {
            ended: EndedSessions::new(ENTRIES_MAX),
            plan: watch::Sender::new(None),
            is_running: AtomicBool::new(false),
            last_read: watch::Sender::new(None),
            was_tried: watch::Sender::new(false),
            failure: Mutex::default(),
        }))
    }
}

impl SessionFeed {
    /// Returns the table that is filled.
    pub(crate) fn ended(&self) -> &EndedSessions {
        &self.0.ended
    }

    /// Follows what this plan says from now on. Needs the runtime of actix.
    pub(crate) fn follow(&self, plan: Option<Plan>) {
        let is_changed = self.0.plan.send_if_modified(|known| {
            let is_same = match (&*known, &plan) {
                (Some(known), Some(plan)) => known.is_same(plan),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !is_same {
                *known = plan.map(Arc::new);
            }
            !is_same
        });
        if is_changed {
            // Before the next request, and not only when the task runs.
            self.0.judge();
            if !self.0.is_running.swap(true, Ordering::Relaxed) {
                actix_rt::spawn(run(Arc::clone(&self.0)));
            }
        }
    }

    /// Waits until the feed was read once, or could not be, for [`FIRST_READ_TIMEOUT`] at most. A service that is not there
    /// makes nobody wait: what becomes of tokens meanwhile is configured.
    pub(crate) async fn first_read(&self) {
        if self.0.plan.borrow().is_some() {
            let mut was_tried = self.0.was_tried.subscribe();
            let _ = timeout(FIRST_READ_TIMEOUT, was_tried.wait_for(|was_tried| *was_tried)).await;
        }
    }

    /// Returns what is known of the feed; `None` if none is followed.
    pub(crate) fn status(&self) -> Option<FeedStatus> {
        let plan = self.0.plan.borrow().clone()?;
        let last_read = *self.0.last_read.borrow();
        Some(FeedStatus {
            upstream: plan.upstream.name().to_owned(),
            is_known: plan.is_known(last_read),
            refuses: plan.refuses(),
            was_read: last_read.is_some(),
            age: last_read.unwrap_or(plan.since).elapsed(),
            ended: self.0.ended.len(),
            failure: self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// Reports whether the feed can be read, for a gateway that has been running for `uptime`; `None` if none is followed.
    ///
    /// # Errors
    /// It has not been read yet, and is still waited for.
    pub(crate) fn readiness(&self, uptime: Duration) -> Result<Option<Value>, String> {
        let Some(FeedStatus { upstream, is_known, was_read, age, .. }) = self.status() else { return Ok(None) };
        match (was_read, is_known) {
            (false, _) if uptime < FIRST_READ_TIMEOUT && !*self.0.was_tried.borrow() => {
                Err(format!("the ended sessions have not been read from {upstream} yet"))
            }
            (false, _) => Ok(Some(Value::from("never read"))),
            (true, true) => Ok(Some(Value::from("ok"))),
            (true, false) => Ok(Some(Value::from(format!("not read for {} s", age.as_secs())))),
        }
    }
}

impl Shared {
    /// Refuses all tokens or not, by the plan and by when the feed was last read.
    fn judge(&self) {
        let (plan, last_read) = (self.plan.borrow().clone(), *self.last_read.borrow());
        self.ended.refuse_all(plan.is_some_and(|plan| plan.refuses() && !plan.is_known(last_read)));
    }

    /// Remembers why the feed cannot be read, and returns whether that is news.
    fn set_failure(&self, why: Option<String>) -> bool {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = failure.is_some() != why.is_some();
        *failure = why;
        is_news
    }
}

/// Follows the plan in force. Ends with the process.
async fn run(shared: Arc<Shared>) {
    let mut plans = shared.plan.subscribe();
    loop {
        let plan = plans.borrow_and_update().clone();
        shared.judge();
        let following = async {
            match &plan {
                None => std::future::pending::<Infallible>().await,
                Some(plan) => tokio::select! {
                    never = Follower::new(plan, &shared).run() => never,
                    never = watch_age(plan, &shared) => never,
                    never = forget(&shared) => never,
                },
            }
        };
        // In this order: a plan that was replaced decides nothing any more.
        tokio::select! {
            biased;
            changed = plans.changed() => if changed.is_err() { return },
            never = following => match never {},
        }
    }
}

/// Notices that the feed has not been read for too long, and that it was read again.
async fn watch_age(plan: &Plan, shared: &Shared) -> Infallible {
    let mut reads = shared.last_read.subscribe();
    loop {
        let last = *reads.borrow_and_update();
        let too_old = last.unwrap_or(plan.since) + plan.settings.after;
        if timeout_at(too_old, reads.changed()).await.is_err() {
            shared.judge();
            let effect =
                if plan.refuses() { "tokens are answered 503" } else { "tokens are accepted by what is known" };
            let upstream = plan.upstream.name();
            log::error!(upstream, after:? = plan.settings.after; "the ended sessions are not known any more: {effect}");
            let _ = reads.changed().await;
        }
    }
}

/// Forgets one part of the table each second, so that every entry is looked at about once a minute and nothing takes long.
async fn forget(shared: &Shared) -> Infallible {
    let mut seconds = interval(Duration::from_secs(1));
    let mut shard = 0;
    loop {
        seconds.tick().await;
        shared.ended.forget(shard, unix_seconds(SystemTime::now()));
        shard = (shard + 1) % SHARDS;
    }
}

/// Reads the feed of one plan.
struct Follower<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    client: Client,
    cursor: Option<String>,
    /// The index of the target that is asked: another one after each failure.
    target: usize,
    /// Number of failures in a row.
    failures: u32,
    /// Number of answers in a row that said that there is more.
    pages: usize,
    /// Whether everything that the feed had was read once.
    is_caught_up: bool,
}

impl<'a> Follower<'a> {
    fn new(plan: &'a Plan, shared: &'a Shared) -> Self {
        let client = Client::new(plan.upstream.settings(), plan.upstream.tls());
        Self { plan, shared, client, cursor: None, target: 0, failures: 0, pages: 0, is_caught_up: false }
    }

    async fn run(mut self) -> Infallible {
        loop {
            let begun = Instant::now();
            let next = match self.read().await.and_then(|page| self.take(page)) {
                Ok(has_more) if has_more => begun,
                Ok(_) => {
                    self.succeeded();
                    begun + INTERVAL_MIN
                }
                Err(error) => Instant::now() + self.failed(error),
            };
            sleep_until(next).await;
        }
    }

    async fn read(&self) -> Result<Page, ReadError> {
        let upstream = &self.plan.upstream;
        let targets = &upstream.settings().targets;
        // The feed is not asked to wait before it has answered: whether it can be read is to be known at once.
        let wait = if self.is_caught_up && self.failures == 0 { self.plan.wait() } else { Duration::ZERO };
        let question = Question { path: &self.plan.settings.path, cursor: self.cursor.as_deref(), wait };
        read(&self.client, upstream, &targets[self.target % targets.len()].address, question).await
    }

    /// Adds the sessions of an answer to the table. Returns whether there is more.
    fn take(&mut self, page: Page) -> Result<bool, ReadError> {
        let now = unix_seconds(SystemTime::now());
        let ended = page.ended.iter().filter_map(|ended| {
            let forget_at = forget_at(ended.at, now, self.plan.ttl)?;
            Some((SessionId::new(&ended.sid), forget_at))
        });
        let added = self.shared.ended.add(ended);
        added.map_err(|_| format!("more than {ENTRIES_MAX} sessions have ended while their tokens are valid"))?;
        let is_kept = page.check_kept_for(self.plan.ttl);
        self.cursor = Some(page.next);
        is_kept?;
        self.pages = if page.more { self.pages.saturating_add(1) } else { 0 };
        if self.pages >= PAGES_MAX {
            return Err(ReadError::Failed(format!("it has still more after {PAGES_MAX} answers")));
        }
        Ok(page.more)
    }

    fn succeeded(&mut self) {
        (self.failures, self.is_caught_up) = (0, true);
        self.shared.ended.refuse_all(false);
        self.shared.was_tried.send_replace(true);
        let is_first = self.shared.last_read.send_replace(Some(Instant::now())).is_none();
        if self.shared.set_failure(None) || is_first {
            let (upstream, known) = (self.plan.upstream.name(), self.shared.ended.len());
            log::info!(upstream, known; "the ended sessions are followed");
        }
    }

    /// Returns how long to wait before the feed is asked again.
    fn failed(&mut self, error: ReadError) -> Duration {
        let why = match error {
            ReadError::Failed(why) => why,
            ReadError::CursorGone => {
                self.cursor = None;
                "it does not know where we were, so that it is read from its beginning".to_owned()
            }
        };
        let upstream = self.plan.upstream.name();
        if self.shared.set_failure(Some(why.clone())) {
            log::warn!(upstream, cause = why.as_str(); "the ended sessions cannot be read; trying again");
        }
        self.target += 1;
        self.failures = self.failures.saturating_add(1);
        if self.target >= self.plan.upstream.settings().targets.len() {
            self.shared.was_tried.send_replace(true);
        }
        back_off(self.failures)
    }
}

/// Returns until when to remember a session that ended at `at`, in seconds since the epoch of Unix, with tokens that are valid
/// for `ttl`; `None` if that is over. A time in the future, as a feed whose clock is wrong has it, is taken for now: else the
/// session would be remembered for longer than any of its tokens is valid.
fn forget_at(at: u64, now: u64, ttl: Duration) -> Option<u64> {
    let forget_at = at.min(now) + (ttl + FORGET_MARGIN).as_secs();
    (forget_at > now).then_some(forget_at)
}

/// Returns how long to wait after this many failures in a row: a random half of it less, so that many gateways do not all
/// ask at the same moment.
fn back_off(failures: u32) -> Duration {
    let doubled = RETRY_INTERVAL_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let full = doubled.min(RETRY_INTERVAL_MAX);
    // Each `RandomState` has keys of its own.
    let random = RandomState::new().hash_one(failures) % 512;
    full - full.mul_f64(random as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_remembered_until_its_tokens_have_expired() {
        let ttl = Duration::from_secs(3600);
        for (at, expected) in
            [(10_000, Some(13_660)), (6341, Some(10_001)), (6340, None), (0, None), (u64::MAX, Some(13_660))]
        {
            assert_eq!(forget_at(at, 10_000, ttl), expected, "{at}");
        }
    }

    #[test]
    fn retries_come_later_and_later_but_never_later_than_the_maximum() {
        for (failures, full_ms) in [(1, 100), (2, 200), (4, 800), (5, 1000), (40, 1000), (u32::MAX, 1000)] {
            for _ in 0..100 {
                let interval = back_off(failures);
                let full = Duration::from_millis(full_ms);
                assert!(interval > full / 2 && interval <= full, "{failures}: {interval:?}");
            }
        }
    }
}
