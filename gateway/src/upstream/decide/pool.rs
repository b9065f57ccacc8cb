//! Decides which targets are eligible for a request. Pure: knows no clock and no sockets.

/// Maximum number of targets of an upstream: 64, so that a set of them is one word and needs no allocation.
pub(crate) const TARGETS_MAX: usize = u64::BITS as usize;

/// The state of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    Available,
    /// Requests to it have failed: its breaker is open (passive health).
    Ejected,
    /// It fails its health checks (active health).
    Unhealthy,
}

/// A set of targets, by their indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetSet(u64);

impl TargetSet {
    /// Returns the set with one more target.
    #[must_use]
    pub(crate) const fn with(self, index: usize) -> Self {
        Self(self.0 | (1 << index))
    }

    /// Returns whether it contains a target.
    pub(crate) const fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// Returns its only target, if it has exactly one.
    pub(crate) const fn only(self) -> Option<usize> {
        if self.len() == 1 { Some(self.0.trailing_zeros() as usize) } else { None }
    }

    const fn len(self) -> u32 {
        self.0.count_ones()
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the indexes of its targets.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..TARGETS_MAX).filter(move |index| self.contains(*index))
    }
}

/// The states of all targets. Copied and built without an allocation: this happens for every request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetStates {
    count: u64,
    available: TargetSet,
    ejected: TargetSet,
}

impl FromIterator<TargetState> for TargetStates {
    fn from_iter<I: IntoIterator<Item = TargetState>>(states: I) -> Self {
        states.into_iter().enumerate().fold(Self::default(), |all, (index, state)| match state {
            TargetState::Available => Self { count: all.count + 1, available: all.available.with(index), ..all },
            TargetState::Ejected => Self { count: all.count + 1, ejected: all.ejected.with(index), ..all },
            TargetState::Unhealthy => Self { count: all.count + 1, ..all },
        })
    }
}

impl TargetStates {
    /// Returns whether the breaker of this target is open.
    pub(crate) const fn is_ejected(&self, index: usize) -> bool {
        self.ejected.contains(index)
    }
}

/// Returns the targets that are eligible: the available ones, without those that were tried as long as there are
/// others, and without those in `refused`.
///
/// If more than `ejected_percent_max` of all targets are ejected, but some are available, the ejected ones are eligible
/// too: the few that are available would be overloaded by the traffic of all, and fail as well.
pub(crate) fn eligible(
    states: TargetStates,
    ejected_percent_max: u8,
    tried: TargetSet,
    refused: TargetSet,
) -> TargetSet {
    let TargetStates { count, available, ejected } = states;
    let too_many = u64::from(ejected.len()) * 100 > count * u64::from(ejected_percent_max);
    let pool =
        if available != TargetSet::default() && too_many { TargetSet(available.0 | ejected.0) } else { available };
    let pool = pool.without(refused);
    let untried = pool.without(tried);
    if untried == TargetSet::default() { pool } else { untried }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{TargetState::*, *};

    fn all(states: &[TargetState]) -> TargetStates {
        states.iter().copied().collect()
    }

    fn members(states: &[TargetState], tried: TargetSet) -> Vec<usize> {
        eligible(all(states), 50, tried, TargetSet::default()).iter().collect()
    }

    #[test]
    fn available_targets_are_eligible() {
        let none = TargetSet::default();
        for (states, expected) in [
            (vec![Available, Available], vec![0, 1]),
            (vec![Available, Ejected], vec![0]),
            (vec![Unhealthy, Available, Unhealthy], vec![1]),
            (vec![Ejected, Ejected, Available], vec![0, 1, 2]),
            (vec![Ejected, Ejected], vec![]),
            (vec![Ejected, Unhealthy], vec![]),
            (vec![Unhealthy], vec![]),
        ] {
            assert_eq!(members(&states, none), expected, "{states:?}");
        }
    }

    #[test]
    fn another_target_is_preferred_to_one_that_was_tried() {
        assert_eq!(members(&[Available, Available], TargetSet::default().with(0)), [1]);
        assert_eq!(members(&[Available, Unhealthy], TargetSet::default().with(0)), [0], "there is no other");
    }

    proptest! {
        #[test]
        fn no_more_are_ejected_than_may_be_unless_all_are_down(
            states in proptest::collection::vec(prop_oneof![Just(Available), Just(Ejected)], 1..64),
            percent in 0u8..=100,
        ) {
            let pool = eligible(all(&states), percent, TargetSet::default(), TargetSet::default());
            let ejected = states.len() - pool.iter().count();
            let all_down = !states.contains(&Available);
            prop_assert!(all_down || ejected * 100 <= states.len() * usize::from(percent));
            prop_assert_eq!(pool.iter().count() == 0, all_down);
        }

        #[test]
        fn an_unhealthy_target_is_never_eligible(
            states in proptest::collection::vec(prop_oneof![Just(Available), Just(Ejected), Just(Unhealthy)], 1..64),
            tried: u64,
            refused: u64,
        ) {
            let pool = eligible(all(&states), 50, TargetSet(tried), TargetSet(refused));
            prop_assert!(pool.iter().all(|index| states[index] != Unhealthy && !TargetSet(refused).contains(index)));
        }
    }
}
