//! Computes and verifies bcrypt hashes on a bounded pool, never on a thread that serves requests or owns state.
//!
//! A wrong password costs the same work whoever it is given for: a hash of cost c takes 2^c rounds. An unknown name takes
//! one dummy hash of the cost t, 2^t rounds. A known hash of a lower cost c is followed by dummy hashes of the costs
//! c, c+1, … t-1, and 2^c + (2^c + 2^(c+1) + … + 2^(t-1)) = 2^t. So that this holds for every hash in the store, t is the
//! configured cost or that of the dearest imported hash, whichever is higher.

use std::{hint::black_box, sync::Arc, time::Instant};

use chassis::metrics::seconds_histogram;
use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::domain::{NewPassword, PasswordHash, Plaintext};

/// At cost 12 a hash takes about a quarter of a second: 32 waiting for a core are 8 seconds, and who came later would
/// have given up before.
const WAITING_PER_CORE_MAX: usize = 32;

/// Why a hash was not computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordsError {
    /// Too many are waiting.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    #[error("cannot compute a password hash: {0}")]
    Failed(String),
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    cost: u32,
    cost_of_failure: u32,
    /// A place in the pool, waiting or running.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
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
    /// A pool of `cores` for new hashes of `cost`, where the dearest known hash has `cost_known_max`.
    pub(crate) fn new(cost: u32, cost_known_max: u32, cores: usize, registry: &mut Registry) -> Self {
        let metrics = Metrics {
            waiting: Gauge::default(),
            rounds: Counter::default(),
            wait_seconds: seconds_histogram(),
            seconds: seconds_histogram(),
        };
        let Metrics { waiting, rounds, wait_seconds, seconds } = metrics.clone();
        let places = cores * (1 + WAITING_PER_CORE_MAX);
        let places_max = ConstGauge::new(i64::try_from(places).unwrap_or(i64::MAX));
        registry.register("users_bcrypt_waiting", "Passwords that wait for a core or are on one", waiting);
        registry.register("users_bcrypt_waiting_max", "Passwords that there is room for", places_max);
        registry.register("users_bcrypt_rounds", "Rounds of bcrypt computed, 2^cost for a hash", rounds);
        registry.register("users_bcrypt_wait_seconds", "Seconds that a password waited for a core", wait_seconds);
        registry.register("users_bcrypt_seconds", "Seconds to hash or verify one password, without waiting", seconds);
        Self {
            cost,
            cost_of_failure: cost.max(cost_known_max),
            places: Arc::new(Semaphore::new(places)),
            running: Arc::new(Semaphore::new(cores)),
            metrics,
        }
    }

    /// Hashes a password that is to be set.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<PasswordHash, PasswordsError> {
        let cost = self.cost;
        let rounds = self.metrics.rounds.clone();
        self.run(move || {
            rounds.inc_by(1 << cost);
            hash_blocking(&password, cost)
        })
        .await?
    }

    /// Whether `password` is the one of `hash`. Without a hash it is wrong, after the same work.
    pub(crate) async fn verify(&self, password: Plaintext, hash: Option<PasswordHash>) -> Result<bool, PasswordsError> {
        let work = Work { rounds: self.metrics.rounds.clone(), cost_of_failure: self.cost_of_failure };
        self.run(move || work.verify(&password, hash.as_ref())).await
    }

    /// The hash of a password just verified, made anew where `hash` has another cost than new ones have.
    pub(crate) async fn rehash(&self, password: &Plaintext, hash: &PasswordHash) -> Option<PasswordHash> {
        if hash.cost() == self.cost {
            return None;
        }
        let (cost, password) = (self.cost, password.clone());
        let rounds = self.metrics.rounds.clone();
        let rehashed = self.run(move || {
            rounds.inc_by(1 << cost);
            compute(&password, cost)
        });
        match rehashed.await {
            Ok(Ok(hash)) => Some(hash),
            // The user is signed in all the same, and the next login tries again.
            Ok(Err(error)) | Err(error) => {
                log::warn!("a password keeps its old hash: {error}");
                None
            }
        }
    }

    /// Runs `job` on a blocking thread when a core is free. Places are given back by the job itself: a client that goes
    /// away ends the waiting, not the computing.
    async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordsError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordsError::Overloaded)?;
        let waiting = Waiting::start(self.metrics.waiting.clone());
        let start = Instant::now();
        let core = Arc::clone(&self.running).acquire_owned().await;
        self.metrics.wait_seconds.observe(start.elapsed().as_secs_f64());
        let core = core.map_err(|error| PasswordsError::Failed(error.to_string()))?;
        let seconds = self.metrics.seconds.clone();
        let computed = spawn_blocking(move || {
            let _held = (place, core, waiting);
            let start = Instant::now();
            let outcome = job();
            seconds.observe(start.elapsed().as_secs_f64());
            outcome
        });
        computed.await.map_err(|error| PasswordsError::Failed(error.to_string()))
    }
}

/// Hashes a password on this thread, at start.
pub(crate) fn hash_blocking(password: &NewPassword, cost: u32) -> Result<PasswordHash, PasswordsError> {
    compute(password.plaintext(), cost)
}

fn compute(password: &Plaintext, cost: u32) -> Result<PasswordHash, PasswordsError> {
    let text = password.hashable().ok_or_else(|| PasswordsError::Failed("bcrypt would truncate it".to_owned()))?;
    let hash = bcrypt::non_truncating_hash(text, cost).map_err(|error| PasswordsError::Failed(error.to_string()))?;
    hash.parse().map_err(PasswordsError::Failed)
}

struct Work {
    rounds: Counter,
    cost_of_failure: u32,
}

impl Work {
    fn verify(&self, password: &Plaintext, hash: Option<&PasswordHash>) -> bool {
        let (Some(hash), Some(text)) = (hash, password.hashable()) else {
            self.burn(self.cost_of_failure);
            return false;
        };
        self.rounds.inc_by(1 << hash.cost());
        // A hash that was parsed cannot fail here; if it did, the password would be wrong.
        let is_right = bcrypt::non_truncating_verify(text, hash.expose()).unwrap_or(false);
        if !is_right {
            (hash.cost()..self.cost_of_failure).for_each(|cost| self.burn(cost));
        }
        is_right
    }

    /// The work of one hash, and nothing else.
    fn burn(&self, cost: u32) {
        self.rounds.inc_by(1 << cost);
        black_box(bcrypt::bcrypt(cost, [0; 16], black_box(b"dummy\0")));
    }
}

/// Counts one waiting password until it is dropped, on whichever way.
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
    fn every_failure_costs_the_same_work() {
        let long = "x".repeat(72);
        for (password, hash) in [
            ("wrong", None),
            ("wrong", Some(hash_of("right", 8))),
            ("wrong", Some(hash_of("right", 6))),
            ("wrong", Some(hash_of("right", 4))),
            (long.as_str(), Some(hash_of(&long[1..], 8))),
            ("right\0", Some(hash_of("right", 8))),
        ] {
            let work = Work { rounds: Counter::default(), cost_of_failure: 8 };
            assert!(!work.verify(&Plaintext::new(password), hash.as_ref()), "{password} {hash:?}");
            assert_eq!(work.rounds.get(), 1 << 8, "{password} {hash:?}");
        }
        let work = Work { rounds: Counter::default(), cost_of_failure: 8 };
        assert!(work.verify(&Plaintext::new("right"), Some(&hash_of("right", 6))));
    }

    #[test]
    fn work_beyond_the_queue_is_refused_and_the_places_come_back() {
        let pool = Passwords::new(4, 4, 1, &mut Registry::default());
        let policy = PasswordPolicy { chars_min: 1 };
        let system = actix_rt::System::new();
        system.block_on(async {
            let held = Arc::clone(&pool.running).acquire_owned().await.unwrap();
            let tasks: Vec<_> = (0..=WAITING_PER_CORE_MAX)
                .map(|_| {
                    let (pool, password) = (pool.clone(), policy.accept("right", None).unwrap());
                    actix_rt::spawn(async move { pool.hash(password).await })
                })
                .collect();
            while pool.places.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = pool.verify(Plaintext::new("x"), None).await;
            assert!(matches!(refused, Err(PasswordsError::Overloaded)), "{refused:?}");
            drop(held);
            for task in tasks {
                assert!(task.await.unwrap().is_ok());
            }
            assert_eq!(pool.verify(Plaintext::new("x"), None).await.ok(), Some(false));
            assert_eq!(pool.metrics.waiting.get(), 0);
        });
    }
}
