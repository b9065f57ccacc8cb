//! How many retries an upstream has left: a share of its requests, so that an outage is not made worse by asking twice.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs, in hundredths: a request of a route with a budget of 20% brings 20.
const RETRY: u32 = 100;
/// An upstream that has answered nothing yet may be retried so often.
const AT_START: u32 = 10 * RETRY;
/// No more than this is saved up in good times: as many requests as break at once when one busy target dies.
const SAVED_MAX: u32 = 100 * RETRY;

/// The retries that an upstream has left.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(AT_START))
    }
}

impl Budget {
    /// A request has come that brings `percent` of a retry.
    pub(crate) fn deposit(&self, percent: u8) {
        let more = |saved: u32| Some((saved + u32::from(percent)).min(SAVED_MAX)).filter(|next| *next != saved);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes a retry, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(RETRY)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_never_exceed_their_share(requests in 0u32..2000, percent in 0u8..=100) {
            let budget = Budget::default();
            let mut retries = 0;
            for _ in 0..requests {
                budget.deposit(percent);
                retries += u32::from(budget.withdraw());
            }
            prop_assert!(retries <= 10 + requests * u32::from(percent) / 100);
        }

        #[test]
        fn what_is_saved_is_bounded(requests in 0u32..5000) {
            let budget = Budget::default();
            (0..requests).for_each(|_| budget.deposit(100));
            let mut retries = 0;
            while budget.withdraw() {
                retries += 1;
            }
            prop_assert_eq!(retries, (10 + requests).min(100));
        }
    }
}
