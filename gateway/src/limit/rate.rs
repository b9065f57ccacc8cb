//! Rate limits, by client address, by caller or by a header (GCRA). Knows no routes and no messages.

use std::{
    fmt::{self, Write},
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use actix_http::header::HeaderName;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};

/// A limit remembers so many keys; with about 20 bytes for each, 2 MB. The rest share [`OVERFLOW_KEYS`].
const KEYS_MAX: usize = 100_000;
/// Not one alone, so that whoever fills the table does not lock everybody else out.
const OVERFLOW_KEYS: u64 = 1024;
/// A full table is looked through for keys that are fresh again no more often than this: it takes a millisecond.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How many requests in which time, and who shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: NonZeroU32,
    pub(crate) window: Duration,
    pub(crate) key: LimitKey,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitKey {
    ClientIp,
    Caller,
    /// Those with the same value of this header; those without it by client address.
    Header(HeaderName),
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = match self.window.as_secs() {
            1 => "s",
            60 => "min",
            3600 => "h",
            86_400 => "day",
            seconds => return write!(f, "{} in {seconds} s {}", self.count, self.key),
        };
        write!(f, "{}/{window} {}", self.count, self.key)
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("per ip"),
            Self::Caller => f.write_str("per user"),
            Self::Header(name) => write!(f, "per header {name}"),
        }
    }
}

/// Counts the requests of one route, by all its rates.
#[derive(Debug)]
pub(crate) struct Limiter {
    rates: Vec<Rate>,
    limits: Vec<Limit>,
    policy: String,
    clock: DefaultClock,
}

#[derive(Debug)]
struct Limit {
    /// Names it in the fields that clients see.
    name: String,
    count: u32,
    /// A key gets one request back after this.
    period: Duration,
    key: LimitKey,
    /// Keys are kept as hashes that nobody outside can foresee: no key is allocated, and two in 10^14 tables of this
    /// size have two keys of one hash.
    hasher: RandomState,
    table: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>,
    start: Instant,
    /// When a full table was last looked through, in milliseconds from the start.
    swept: AtomicU64,
}

/// Who asks, as one rate counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateKey<'a> {
    Address(IpAddr),
    Text(&'a [u8]),
}

/// What the limits of a route say to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitDecision {
    /// The rate is used up; there is room again after this.
    pub(crate) wait: Option<Duration>,
    /// The `RateLimit` field (draft-ietf-httpapi-ratelimit-headers, section 4.1).
    pub(crate) state: String,
}

impl Limiter {
    /// A limiter that lets a whole window's worth pass at once, and then as many as the rate refills; `None` without
    /// rates.
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

    /// The rates that it keeps.
    pub(crate) fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// The `RateLimit-Policy` field (section 4.2 of the draft).
    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }

    /// Counts a request. The first rate that is used up ends it, so that later ones are not charged.
    pub(crate) fn admit<'a>(&self, asker: impl Fn(&LimitKey) -> RateKey<'a>) -> LimitDecision {
        let mut state = String::new();
        for limit in &self.limits {
            let checked = limit.table.check_key(&limit.hash(asker(&limit.key)));
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
    fn new(rate: &Rate, same_before: usize) -> Option<Self> {
        let name = match &rate.key {
            LimitKey::ClientIp => "ip",
            LimitKey::Caller => "user",
            LimitKey::Header(name) => name.as_str(),
        };
        let period = rate.window / rate.count.get();
        Some(Self {
            name: if same_before == 0 { name.to_owned() } else { format!("{name}-{}", same_before + 1) },
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
            swept: AtomicU64::new(0),
        })
    }

    fn hash(&self, asker: RateKey<'_>) -> u64 {
        let asker = match asker {
            RateKey::Address(address) => RateKey::Address(customer(address)),
            text @ RateKey::Text(_) => text,
        };
        let hash = self.hasher.hash_one(asker);
        if self.has_room() { hash } else { hash % OVERFLOW_KEYS }
    }

    fn has_room(&self) -> bool {
        if self.table.len() < KEYS_MAX {
            return true;
        }
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.saturating_sub(swept) >= SWEEP_EVERY.as_millis() as u64;
        // Of many threads that see it is time, one does it.
        if due && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.table.retain_recent();
        }
        self.table.len() < KEYS_MAX
    }
}

/// One IPv6 customer has a whole /64 (RFC 6177), and shall not have 2^64 budgets.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rates: &[(u32, u64)]) -> Limiter {
        let rate = |(count, seconds): &(u32, u64)| Rate {
            count: NonZeroU32::new(*count).unwrap(),
            window: Duration::from_secs(*seconds),
            key: LimitKey::ClientIp,
        };
        Limiter::new(rates.iter().map(rate).collect()).unwrap()
    }

    fn ask(limiter: &Limiter, who: &str) -> LimitDecision {
        limiter.admit(|_| RateKey::Text(who.as_bytes()))
    }

    #[test]
    fn a_key_gets_its_rate_and_no_more() {
        let limiter = limiter(&[(3, 3600)]);
        assert_eq!(limiter.policy(), "\"ip\";q=3;w=3600");
        let states: Vec<String> = (0..3).map(|_| ask(&limiter, "a").state).collect();
        assert_eq!(states, ["\"ip\";r=2;t=1200", "\"ip\";r=1;t=2400", "\"ip\";r=0;t=3600"]);
        let wait = ask(&limiter, "a").wait.unwrap();
        assert!(wait > Duration::from_secs(1000) && wait <= Duration::from_secs(1200), "{wait:?}");
        assert_eq!(ask(&limiter, "b").wait, None, "another key has its own");
    }

    #[test]
    fn the_narrowest_of_several_rates_decides_and_spares_the_others() {
        let limiter = limiter(&[(1, 3600), (5, 86_400)]);
        assert_eq!(limiter.policy(), "\"ip\";q=1;w=3600, \"ip-2\";q=5;w=86400");
        assert_eq!(ask(&limiter, "a").state, "\"ip\";r=0;t=3600, \"ip-2\";r=4;t=17280");
        let refused = ask(&limiter, "a");
        assert!(refused.wait.is_some() && !refused.state.contains("ip-2"), "{refused:?}");
    }

    #[test]
    fn an_ipv6_customer_has_one_budget() {
        let of = |text: &str| customer(text.parse().unwrap());
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
        let refused = (0..100).filter(|number| ask(&limiter, &number.to_string()).wait.is_some()).count();
        assert!(refused > 90, "newcomers share what is left: {refused}");
    }
}
