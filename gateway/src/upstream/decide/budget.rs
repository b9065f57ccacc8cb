//! The retry budget of an upstream: retries are limited to a share of its requests, so that they do not multiply the
//! load during an outage. Pure but for its counter.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs. A request deposits the percentage of its route: 20 for a budget of 20%.
const RETRY_COST: u32 = 100;
/// The budget of a new upstream: 10 retries.
const INITIAL_BALANCE: u32 = 10 * RETRY_COST;
/// Maximum budget: 100 retries, about as many requests as break at once when a busy target dies.
const BALANCE_MAX: u32 = 100 * RETRY_COST;

/// The retries that an upstream has left.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(INITIAL_BALANCE))
    }
}

impl RetryBudget {
    /// Deposits `percent` of a retry, for a request.
    pub(crate) fn deposit(&self, percent: u8) {
        let more = |balance: u32| Some((balance + u32::from(percent)).min(BALANCE_MAX)).filter(|next| *next != balance);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Withdraws a retry, and returns whether there was one.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| balance.checked_sub(RETRY_COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_never_exceed_their_share(requests in 0u32..2000, percent in 0u8..=100) {
            let budget = RetryBudget::default();
            let mut retries = 0;
            for _ in 0..requests {
                budget.deposit(percent);
                retries += u32::from(budget.withdraw());
            }
            prop_assert!(retries <= 10 + requests * u32::from(percent) / 100);
        }

        #[test]
        fn the_balance_is_bounded(requests in 0u32..5000) {
            let budget = RetryBudget::default();
            (0..requests).for_each(|_| budget.deposit(100));
            let mut retries = 0;
            while budget.withdraw() {
                retries += 1;
            }
            prop_assert_eq!(retries, (10 + requests).min(100));
        }
    }
}
