//! Counts requests in this process, and decides whether they are within the rates of their route. Knows no routes and
//! no answers.
//!
//! The algorithm is GCRA (a leaky bucket as a meter), which needs one timestamp for each key; `governor` implements it
//! without a lock.
//!
//! The tricky part is the number of keys, which clients choose: a table has at most [`KEYS_MAX`] keys, so that nobody
//! can fill the memory. When it is full, keys whose rate has recovered are dropped. If there are none, new keys share
//! [`OVERFLOW_KEYS`] counters: whoever fills the table is still limited, and others are limited with some of them
//! rather than refused or let through.

use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};

use super::rate::{LimitKey, Rate};

/// Maximum number of keys of one rate: 100,000 of about 20 bytes take 2 MB. Further keys share [`OVERFLOW_KEYS`].
const KEYS_MAX: usize = 100_000;
/// Number of counters that further keys share. More than one, so that whoever fills the table does not use up the rate
/// of everybody else.
const OVERFLOW_KEYS: u64 = 1024;
/// Minimum interval between two searches of a full table for keys that have recovered; one takes about a millisecond.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Limits the requests of one route by all its rates. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Limiter {
    rates: Vec<Rate>,
    limits: Vec<Limit>,
    policy: String,
    clock: DefaultClock,
}

#[derive(Debug)]
struct Limit {
    /// Its name in the fields that clients see.
    name: String,
    count: u32,
    /// The time after which a key recovers one request.
    period: Duration,
    key: LimitKey,
    /// Keys are stored as hashes with a random seed: no key is allocated, and nobody can arrange collisions. By chance,
    /// one in four billion tables of this size has one (100,000² / 2 / 2^64).
    hasher: RandomState,
    table: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>,
    start: Instant,
    /// When a full table was last searched, in milliseconds since `start`.
    swept_at: AtomicU64,
}

/// Whom a request is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateKey<'a> {
    Address(IpAddr),
    Text(&'a [u8]),
}

/// The decision about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitDecision {
    /// If a rate is exceeded, the time after which the next request is allowed.
    pub(crate) wait: Option<Duration>,
    /// The `RateLimit` field (draft-ietf-httpapi-ratelimit-headers, section 4.1).
    pub(crate) state: String,
}

impl Limiter {
    /// A limiter that allows the requests of a whole window at once, and then as many as the rate recovers; `None`
    /// without rates.
    pub(crate) fn new(rates: Vec<Rate>) -> Option<Self> {
        let mut limits: Vec<Limit> = Vec::new();
        for rate in &rates {
            let before = limits.iter().filter(|limit| limit.key == rate.key).count();
            limits.push(Limit::new(rate, before)?);
        }
        let policies = limits
            .iter()
            .zip(&rates)
            .map(|(limit, rate)| format!("\"{}\";q={};w={}", limit.name, rate.count, rate.window.as_secs()));
        let policy = policies.collect::<Vec<_>>().join(", ");
        (!rates.is_empty()).then(|| Self { rates, limits, policy, clock: DefaultClock::default() })
    }

    /// Returns its rates.
    pub(crate) fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// Returns the `RateLimit-Policy` field (section 4.2 of the draft).
    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }

    /// Counts a request and decides about it. `key_for` returns whom one of the rates counts it for. The first rate
    /// that is exceeded ends it: later ones do not count the request.
    pub(crate) fn admit<'a>(&self, key_for: impl Fn(&LimitKey) -> RateKey<'a>) -> LimitDecision {
        let mut state = String::new();
        for limit in &self.limits {
            let checked = limit.table.check_key(&limit.table_key(key_for(&limit.key)));
            let (remaining, wait) = match checked {
                Ok(snapshot) => (snapshot.remaining_burst_capacity(), None),
                Err(refused) => (0, Some(refused.wait_time_from(self.clock.now()))),
            };
            let full_in = limit.period.saturating_mul(limit.count - remaining.min(limit.count));
            let seconds = wait.map_or_else(|| full_in.as_secs_f64().ceil() as u64, |wait| wait.as_secs() + 1);
            let comma = if state.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(state, "{comma}\"{}\";r={remaining};t={seconds}", limit.name);
            if wait.is_some() {
                return LimitDecision { wait, state };
            }
        }
        LimitDecision { wait: None, state }
    }
}

impl Limit {
    fn new(rate: &Rate, same_key_before: usize) -> Option<Self> {
        let name = match &rate.key {
            LimitKey::ClientIp => "ip",
            LimitKey::Caller => "user",
            LimitKey::Header(name) => name.as_str(),
        };
        let period = rate.window / rate.count.get();
        Some(Self {
            name: if same_key_before == 0 { name.to_owned() } else { format!("{name}-{}", same_key_before + 1) },
            count: rate.count.get(),
            period,
            key: rate.key.clone(),
            hasher: RandomState::new(),
            table: RateLimiter::new(
                Quota::with_period(period)?.allow_burst(rate.count),
                HashMapStateStore::default(),
                DefaultClock::default(),
            ),
            start: Instant::now(),
            swept_at: AtomicU64::new(0),
        })
    }

    fn table_key(&self, key: RateKey<'_>) -> u64 {
        let key = match key {
            RateKey::Address(address) => RateKey::Address(network_of(address)),
            text @ RateKey::Text(_) => text,
        };
        let hash = self.hasher.hash_one(key);
        if self.has_room() { hash } else { hash % OVERFLOW_KEYS }
    }

    fn has_room(&self) -> bool {
        if self.table.len() < KEYS_MAX {
            return true;
        }
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let swept_at = self.swept_at.load(Ordering::Relaxed);
        let due = now.saturating_sub(swept_at) >= SWEEP_INTERVAL_MIN.as_millis() as u64;
        // Of several threads that find it due, one does it.
        if due && self.swept_at.compare_exchange(swept_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.table.retain_recent();
        }
        self.table.len() < KEYS_MAX
    }
}

/// Returns what counts as one client: an IPv4 address, or a whole IPv6 /64. A customer has such a network (RFC 6177)
/// and must not have 2^64 budgets.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limiter(rates: &[(u32, u64)]) -> Limiter {
        let rate = |(count, seconds): &(u32, u64)| Rate {
            count: NonZeroU32::new(*count).unwrap(),
            window: Duration::from_secs(*seconds),
            key: LimitKey::ClientIp,
        };
        Limiter::new(rates.iter().map(rate).collect()).unwrap()
    }

    fn admit(limiter: &Limiter, who: &str) -> LimitDecision {
        limiter.admit(|_| RateKey::Text(who.as_bytes()))
    }

    #[test]
    fn a_key_gets_its_rate_and_no_more() {
        let limiter = limiter(&[(3, 3600)]);
        assert_eq!(limiter.policy(), "\"ip\";q=3;w=3600");
        let states: Vec<String> = (0..3).map(|_| admit(&limiter, "a").state).collect();
        assert_eq!(states, ["\"ip\";r=2;t=1200", "\"ip\";r=1;t=2400", "\"ip\";r=0;t=3600"]);
        let wait = admit(&limiter, "a").wait.unwrap();
        assert!(wait > Duration::from_secs(1000) && wait <= Duration::from_secs(1200), "{wait:?}");
        assert_eq!(admit(&limiter, "b").wait, None, "another key has its own");
    }

    #[test]
    fn the_narrowest_of_several_rates_decides_and_spares_the_others() {
        let limiter = limiter(&[(1, 3600), (5, 86_400)]);
        assert_eq!(limiter.policy(), "\"ip\";q=1;w=3600, \"ip-2\";q=5;w=86400");
        assert_eq!(admit(&limiter, "a").state, "\"ip\";r=0;t=3600, \"ip-2\";r=4;t=17280");
        let refused = admit(&limiter, "a");
        assert!(refused.wait.is_some() && !refused.state.contains("ip-2"), "{refused:?}");
    }

    #[test]
    fn an_ipv6_customer_has_one_budget() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn the_table_is_bounded_and_still_counts_when_it_is_full() {
        let limiter = limiter(&[(1, 3600)]);
        for number in 0..KEYS_MAX as u32 + 5000 {
            limiter.admit(|_| RateKey::Address(std::net::Ipv4Addr::from(number).into()));
        }
        let keys = limiter.limits[0].table.len();
        assert!(keys <= KEYS_MAX + OVERFLOW_KEYS as usize, "{keys}");
        let refused = (0..100).filter(|number| admit(&limiter, &number.to_string()).wait.is_some()).count();
        assert!(refused > 90, "further keys share counters: {refused}");
    }
}
