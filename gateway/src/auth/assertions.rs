//! Caches the signed assertions about a caller, so that not every request costs a signature. Knows no keys.

use std::{net::IpAddr, time::Duration};

use actix_http::header::HeaderValue;
use foldhash::fast::RandomState;
use quick_cache::{UnitWeighter, unsync::Cache};

/// How long an assertion is used again: half of the 60 s for which it is valid, so that one that is sent is valid for
/// another 30 s.
const REUSE_FOR: Duration = Duration::from_secs(30);
/// Maximum number of assertions about one caller, who rarely has more than two addresses and upstreams: with 4,096
/// callers on a worker, four assertions of 0.5 KiB take 8 MiB.
const CALLER_ENTRIES_MAX: usize = 4;
/// Maximum number of assertions about the anonymous clients of one worker: 1,024 of 0.5 KiB take 0.5 MiB.
const ANONYMOUS_ENTRIES_MAX: usize = 1024;

/// Assertions about one caller, or about all anonymous clients, by upstream and client address. When it is full, one
/// that has not been used lately makes room.
#[derive(Debug)]
pub(crate) struct AssertionCache(Cache<(u64, IpAddr), Signed, UnitWeighter, RandomState>);

#[derive(Clone, Debug)]
struct Signed {
    at: Duration,
    value: HeaderValue,
}

impl AssertionCache {
    /// A cache for one verified caller. It allocates nothing until it is used.
    pub(crate) fn for_caller() -> Self {
        Self::with_capacity(CALLER_ENTRIES_MAX)
    }

    /// A cache for the anonymous clients of one worker.
    pub(crate) fn for_anonymous() -> Self {
        Self::with_capacity(ANONYMOUS_ENTRIES_MAX)
    }

    fn with_capacity(entries_max: usize) -> Self {
        let (weights, lifecycle) = (UnitWeighter, Default::default());
        Self(Cache::with(entries_max, entries_max as u64, weights, RandomState::default(), lifecycle))
    }

    /// Returns the assertion for this upstream about a client at this address, and signs one if there is none or if it
    /// is old. `now` is the time since the epoch of Unix.
    ///
    /// # Errors
    /// Those of `sign`.
    pub(crate) fn get<E>(
        &mut self,
        upstream: u64,
        client_ip: IpAddr,
        now: Duration,
        sign: impl FnOnce() -> Result<HeaderValue, E>,
    ) -> Result<HeaderValue, E> {
        let key = (upstream, client_ip);
        // If the clock was set back, an assertion may be from the future; it is not used again.
        let is_fresh = |signed: &&Signed| now.checked_sub(signed.at).is_some_and(|age| age < REUSE_FOR);
        if let Some(signed) = self.0.get(&key).filter(is_fresh) {
            return Ok(signed.value.clone());
        }
        let value = sign()?;
        self.0.insert(key, Signed { at: now, value: value.clone() });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::Ipv4Addr};

    use super::*;

    fn get(cache: &mut AssertionCache, address: u32, signatures: &Cell<u32>) {
        let sign = || {
            signatures.set(signatures.get() + 1);
            Ok::<_, ()>(HeaderValue::from_static("x"))
        };
        cache.get(1, Ipv4Addr::from(address).into(), Duration::ZERO, sign).unwrap();
    }

    #[test]
    fn an_assertion_is_signed_again_for_another_upstream_or_address_and_when_it_is_old() {
        let signatures = Cell::new(0);
        let mut cache = AssertionCache::for_caller();
        let mut get = |upstream, last, seconds| {
            let sign = || {
                signatures.set(signatures.get() + 1);
                Ok::<_, ()>(HeaderValue::from(signatures.get()))
            };
            let ip = Ipv4Addr::new(192, 0, 2, last).into();
            cache.get(upstream, ip, Duration::from_secs(seconds), sign).unwrap()
        };
        let expected = [(1, 1, 100, 1), (1, 1, 129, 1), (1, 1, 130, 2), (2, 1, 130, 3), (1, 2, 130, 4), (1, 1, 99, 5)];
        for (upstream, last, seconds, expected) in expected {
            assert_eq!(get(upstream, last, seconds), HeaderValue::from(expected), "{upstream} {last} {seconds}");
        }
    }

    #[test]
    fn a_full_cache_stays_full_and_keeps_what_is_used() {
        for (mut cache, entries_max) in [
            (AssertionCache::for_caller(), CALLER_ENTRIES_MAX),
            (AssertionCache::for_anonymous(), ANONYMOUS_ENTRIES_MAX),
        ] {
            let signatures = Cell::new(0);
            get(&mut cache, 0, &signatures);
            for address in 1..5000 {
                get(&mut cache, address, &signatures);
                get(&mut cache, 0, &signatures);
                assert!(cache.0.len() <= entries_max);
            }
            assert_eq!(signatures.get(), 5000, "the assertion in use is signed once");
            assert_eq!(cache.0.len(), entries_max, "never emptied");
        }
    }
}
