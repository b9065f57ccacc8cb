//! Rate limits, by client address or by caller (GCRA). Knows no routes and no HTTP.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock, clock::DefaultClock};

/// A limiter remembers so many keys; each takes about 50 bytes. The rest share one.
const KEYS_MAX: usize = 100_000;
/// Stands for every key that there is no room for.
const OVERFLOW: &str = "";

/// How many requests in which time, and who shares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub window: Duration,
    pub key: LimitKey,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKey {
    ClientIp,
    Caller,
}

/// Counts the requests of one route.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

/// Try again after this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub wait: Duration,
}

impl Limiter {
    /// A limiter that lets a whole window's worth pass at once, and then as many as the rate refills.
    pub fn new(rate: Rate) -> Option<Self> {
        let quota = Quota::with_period(rate.window / rate.count.get())?.allow_burst(rate.count);
        Some(Self { rate, limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() })
    }

    /// The rate that it keeps.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The key has used up its rate.
    pub fn admit(&self, key: &str) -> Result<(), Refused> {
        let key = if self.has_room() { key } else { OVERFLOW };
        self.limiter
            .check_key(&key.to_owned())
            .map_err(|refused| Refused { wait: refused.wait_time_from(self.clock.now()) })
    }

    fn has_room(&self) -> bool {
        if self.limiter.len() < KEYS_MAX {
            return true;
        }
        self.limiter.retain_recent();
        self.limiter.len() < KEYS_MAX
    }
}

/// The key of an address. One IPv6 customer has a whole /64 (RFC 6177), and shall not have 2^64 budgets.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_rate_and_no_more() {
        let rate =
            Rate { count: NonZeroU32::new(3).unwrap(), window: Duration::from_secs(3600), key: LimitKey::ClientIp };
        let limiter = Limiter::new(rate).unwrap();
        assert!((0..3).all(|_| limiter.admit("a").is_ok()));
        let refused = limiter.admit("a").unwrap_err();
        assert!(refused.wait > Duration::from_secs(1000) && refused.wait <= Duration::from_secs(1200), "{refused:?}");
        assert!(limiter.admit("b").is_ok(), "another key has its own");
    }

    #[test]
    fn an_ipv6_customer_has_one_budget() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
