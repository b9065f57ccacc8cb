//! Keeps what was signed about a caller while it is fresh, so that not every request costs a signature. Knows no keys.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use actix_http::header::HeaderValue;

/// Half of the time that an assertion is valid: what is sent is valid for as long again.
const FRESH: Duration = Duration::from_secs(30);

/// Signed statements about one caller, or about nobody in particular.
#[derive(Debug)]
pub(crate) struct AssertionCache {
    kept: HashMap<(u64, IpAddr), Signed>,
    entries_max: usize,
}

#[derive(Debug)]
struct Signed {
    at: Duration,
    value: HeaderValue,
}

impl AssertionCache {
    /// About one verified caller, who rarely has more than an address or two: with 4,096 callers to a worker, four
    /// statements of 0.4 KiB make 7 MiB.
    pub(crate) fn of_caller() -> Self {
        Self::with_room_for(4)
    }

    /// About anonymous clients of one worker: 1,024 statements of 0.4 KiB make 0.4 MiB.
    pub(crate) fn of_anonymous() -> Self {
        Self::with_room_for(1024)
    }

    fn with_room_for(entries_max: usize) -> Self {
        Self { kept: HashMap::new(), entries_max }
    }

    /// The statement to this upstream about a client at this address, signed anew where there is no fresh one. `now` is
    /// the time since the epoch of Unix.
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
        // A clock that was set back makes a statement from the future, which is not fresh.
        let is_fresh = |signed: &Signed| now.checked_sub(signed.at).is_some_and(|age| age < FRESH);
        if let Some(signed) = self.kept.get(&(upstream, client_ip)).filter(|signed| is_fresh(signed)) {
            return Ok(signed.value.clone());
        }
        let value = sign()?;
        if self.kept.len() >= self.entries_max {
            self.kept.retain(|_, signed| is_fresh(signed));
        }
        if self.kept.len() >= self.entries_max {
            self.kept.clear();
        }
        self.kept.insert((upstream, client_ip), Signed { at: now, value: value.clone() });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::Ipv4Addr};

    use super::*;

    #[test]
    fn a_statement_is_signed_anew_for_another_upstream_or_address_and_when_it_is_old() {
        let signatures = Cell::new(0);
        let mut assertions = AssertionCache::of_caller();
        let mut get = |upstream, last, seconds| {
            let sign = || {
                signatures.set(signatures.get() + 1);
                Ok::<_, ()>(HeaderValue::from(signatures.get()))
            };
            let ip = Ipv4Addr::new(192, 0, 2, last).into();
            assertions.get(upstream, ip, Duration::from_secs(seconds), sign).unwrap()
        };
        let expected = [(1, 1, 100, 1), (1, 1, 129, 1), (1, 1, 130, 2), (2, 1, 130, 3), (1, 2, 130, 4), (1, 1, 99, 5)];
        for (upstream, last, seconds, expected) in expected {
            assert_eq!(get(upstream, last, seconds), HeaderValue::from(expected), "{upstream} {last} {seconds}");
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut assertions = AssertionCache::of_anonymous();
        for number in 0..5000u32 {
            let sign = || Ok::<_, ()>(HeaderValue::from_static("x"));
            assertions.get(1, Ipv4Addr::from(number).into(), Duration::ZERO, sign).unwrap();
            assert!(assertions.kept.len() <= 1024);
        }
    }
}
