//! The pool of threads that compute and verify hashes.
//!
//! The tricky part is that a failed login must take the same time for every name, or the time would tell which names
//! exist. A hash of cost c takes 2^c rounds. An unknown name takes one dummy hash of cost t, 2^t rounds. A known hash of a
//! lower cost c is followed by dummy hashes of the costs c, c+1, … t-1, and 2^c + (2^c + 2^(c+1) + … + 2^(t-1)) = 2^t. So
//! that this holds for every hash in the store, t is the configured cost or the highest cost of a stored hash, whichever
//! is higher.

use std::{
    hint::black_box,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};
use tokio::sync::oneshot;

use super::{
    bcrypt,
    guesses::{Guesses, SignIn, TooMany},
    place::Place,
    threads::Threads,
    turns::{Overloaded, Turns},
};
use crate::domain::{NewPassword, PasswordHash, Plaintext};

/// Maximum number of passwords that wait for each core. At cost 12 a hash takes about a quarter of a second, so that the
/// last of 32 waits 8 seconds; most clients would not wait longer.
const WAITING_PER_CORE_MAX: usize = 32;

/// Why a hash was not computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordsError {
    /// Too many passwords are waiting.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    /// Too many sign-ins have failed; the next one may be tried after this time.
    #[error("too many sign-ins have failed")]
    TooManyGuesses(Duration),
    #[error("cannot compute a password hash: {0}")]
    Failed(String),
}

impl From<Overloaded> for PasswordsError {
    fn from(Overloaded: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<TooMany> for PasswordsError {
    fn from(TooMany(wait): TooMany) -> Self {
        Self::TooManyGuesses(wait)
    }
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    cost: u32,
    failure_cost: u32,
    turns: Turns,
    threads: Threads,
    guesses: Guesses,
    metrics: Metrics,
}

#[derive(Clone)]
struct Metrics {
    waiting: Gauge,
    rounds: Counter,
    wait_seconds: Histogram,
    seconds: Histogram,
}

impl Passwords {
    /// A pool with `cores` threads for new hashes of `cost`, where `stored_cost_max` is the highest cost of a stored hash.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn start(cost: u32, stored_cost_max: u32, cores: usize, registry: &mut Registry) -> io::Result<Self> {
        let threads = Threads::start(cores)?;
        let metrics = Metrics {
            waiting: Gauge::default(),
            rounds: Counter::default(),
            wait_seconds: seconds_histogram(),
            seconds: seconds_histogram(),
        };
        let Metrics { waiting, rounds, wait_seconds, seconds } = metrics.clone();
        let passwords_max = cores * (1 + WAITING_PER_CORE_MAX);
        let waiting_max = ConstGauge::new(i64::try_from(passwords_max).unwrap_or(i64::MAX));
        registry.register("users_bcrypt_waiting", "Passwords that wait for a core or are being hashed", waiting);
        registry.register("users_bcrypt_waiting_max", "Maximum number of waiting passwords", waiting_max);
        registry.register("users_bcrypt_rounds", "Rounds of bcrypt computed, 2^cost for a hash", rounds);
        registry.register("users_bcrypt_wait_seconds", "Seconds that a password waited for a core", wait_seconds);
        registry.register("users_bcrypt_seconds", "Seconds to hash or verify one password, without waiting", seconds);
        let refused = Counter::default();
        registry.register(
            "users_delayed_logins",
            "Sign-ins refused because too many have failed before",
            refused.clone(),
        );
        Ok(Self {
            cost,
            failure_cost: cost.max(stored_cost_max),
            turns: Turns::new(cores, cores * WAITING_PER_CORE_MAX),
            threads,
            guesses: Guesses::new(cores, refused),
            metrics,
        })
    }

    /// Hashes a new password for a client at this address.
    pub(crate) async fn hash(
        &self,
        password: NewPassword,
        client: Option<IpAddr>,
    ) -> Result<PasswordHash, PasswordsError> {
        let cost = self.cost;
        let rounds = self.metrics.rounds.clone();
        self.run(client.into(), move || {
            rounds.inc_by(1 << cost);
            hash_blocking(&password, cost)
        })
        .await?
    }

    /// Whether `password` is the one that was hashed. Without a hash it is wrong, after the same work.
    ///
    /// # Errors
    /// Too many sign-ins have failed before; the password is not looked at.
    pub(crate) async fn verify(
        &self,
        password: Plaintext,
        hash: Option<PasswordHash>,
        sign_in: SignIn,
    ) -> Result<bool, PasswordsError> {
        self.guesses.check(&sign_in)?;
        let work = Work { rounds: self.metrics.rounds.clone(), failure_cost: self.failure_cost };
        let guesses = self.guesses.clone();
        self.run(sign_in.place(), move || {
            let attempt = guesses.begin(sign_in)?;
            let is_right = work.verify(&password, hash.as_ref());
            if is_right {
                attempt.was_right();
            }
            Ok(is_right)
        })
        .await?
    }

    /// A new hash of a password that was just verified, if `hash` does not have the configured cost.
    pub(crate) async fn rehash(
        &self,
        password: &Plaintext,
        hash: &PasswordHash,
        client: Option<IpAddr>,
    ) -> Option<PasswordHash> {
        if hash.cost() == self.cost {
            return None;
        }
        let (cost, password) = (self.cost, password.clone());
        let rounds = self.metrics.rounds.clone();
        let rehashed = self.run(client.into(), move || {
            rounds.inc_by(1 << cost);
            compute(&password, cost)
        });
        match rehashed.await {
            Ok(Ok(hash)) => Some(hash),
            // The login succeeds nevertheless, and the next one tries again.
            Ok(Err(error)) | Err(error) => {
                log::warn!("the hash of a password keeps its old cost: {error}");
                None
            }
        }
    }

    /// Runs `job` on a thread of the pool when it is the turn of this place. A client that disconnects leaves the line. A
    /// computation that has begun goes on, and keeps its core: the job itself holds the turn.
    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordsError> {
        let waiting = Waiting::start(self.metrics.waiting.clone());
        let start = Instant::now();
        let turn = self.turns.take(place).await?;
        self.metrics.wait_seconds.observe(start.elapsed().as_secs_f64());
        let seconds = self.metrics.seconds.clone();
        let (sender, computed) = oneshot::channel();
        self.threads.run(move || {
            let held = (turn, waiting);
            let start = Instant::now();
            let outcome = job();
            seconds.observe(start.elapsed().as_secs_f64());
            drop(held);
            // Nobody waits for it where the client has gone.
            drop(sender.send(outcome));
        });
        computed.await.map_err(|_| PasswordsError::Failed("the computation panicked".to_owned()))
    }
}

/// Hashes a password on this thread; only for the start.
pub(crate) fn hash_blocking(password: &NewPassword, cost: u32) -> Result<PasswordHash, PasswordsError> {
    compute(password.plaintext(), cost)
}

fn compute(password: &Plaintext, cost: u32) -> Result<PasswordHash, PasswordsError> {
    let text = password.hashable().ok_or_else(|| PasswordsError::Failed("bcrypt would truncate it".to_owned()))?;
    let mut salt = bcrypt::Salt::default();
    getrandom::fill(&mut salt).map_err(|error| PasswordsError::Failed(error.to_string()))?;
    let digest = bcrypt::digest(text, cost, &salt);
    bcrypt::format(cost, &salt, &digest).parse().map_err(PasswordsError::Failed)
}

struct Work {
    rounds: Counter,
    failure_cost: u32,
}

impl Work {
    fn verify(&self, password: &Plaintext, hash: Option<&PasswordHash>) -> bool {
        let (Some(hash), Some(text)) = (hash, password.hashable()) else {
            self.dummy_hash(self.failure_cost);
            return false;
        };
        self.rounds.inc_by(1 << hash.cost());
        let is_right = bcrypt::ends_with(hash.expose(), &bcrypt::digest(text, hash.cost(), hash.salt()));
        if !is_right {
            (hash.cost()..self.failure_cost).for_each(|cost| self.dummy_hash(cost));
        }
        is_right
    }

    /// Does the work of one hash and drops the result.
    fn dummy_hash(&self, cost: u32) {
        self.rounds.inc_by(1 << cost);
        black_box(bcrypt::digest(black_box("dummy"), cost, &bcrypt::Salt::default()));
    }
}

/// Counts one waiting password until it is dropped.
struct Waiting(Gauge);

impl Waiting {
    fn start(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PasswordPolicy;

    fn hash_of(password: &str, cost: u32) -> PasswordHash {
        compute(&Plaintext::new(password), cost).unwrap()
    }

    #[test]
    fn every_failure_takes_the_same_work() {
        let long = "x".repeat(72);
        for (password, hash) in [
            ("wrong", None),
            ("wrong", Some(hash_of("right", 8))),
            ("wrong", Some(hash_of("right", 6))),
            ("wrong", Some(hash_of("right", 4))),
            (long.as_str(), Some(hash_of(&long[1..], 8))),
            ("right\0", Some(hash_of("right", 8))),
        ] {
            let work = Work { rounds: Counter::default(), failure_cost: 8 };
            assert!(!work.verify(&Plaintext::new(password), hash.as_ref()), "{password} {hash:?}");
            assert_eq!(work.rounds.get(), 1 << 8, "{password} {hash:?}");
        }
        let work = Work { rounds: Counter::default(), failure_cost: 8 };
        assert!(work.verify(&Plaintext::new("right"), Some(&hash_of("right", 6))));
    }

    #[actix_rt::test]
    async fn passwords_beyond_the_line_are_refused_and_the_turns_are_returned() {
        let pool = Passwords::start(4, 4, 1, &mut Registry::default()).unwrap();
        let held = pool.turns.take(None.into()).await.unwrap();
        let policy = PasswordPolicy { chars_min: 1 };
        let tasks: Vec<_> = (0..WAITING_PER_CORE_MAX)
            .map(|_| {
                let (pool, password) = (pool.clone(), policy.accept("right", None).unwrap());
                actix_rt::spawn(async move { pool.hash(password, None).await })
            })
            .collect();
        while pool.metrics.waiting.get() < WAITING_PER_CORE_MAX as i64 {
            tokio::task::yield_now().await;
        }
        let refused = pool.verify(Plaintext::new("x"), None, SignIn::new(None, None)).await;
        assert!(matches!(refused, Err(PasswordsError::Overloaded)), "{refused:?}");
        drop(held);
        for task in tasks {
            assert!(task.await.unwrap().is_ok());
        }
        assert_eq!(pool.verify(Plaintext::new("x"), None, SignIn::new(None, None)).await.ok(), Some(false));
        assert_eq!(pool.metrics.waiting.get(), 0);
    }
}
