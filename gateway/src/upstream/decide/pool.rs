//! Says which targets may be chosen from, given what is known of each. Pure: knows no clock and no sockets.

/// A set of targets is one word, which nobody has to allocate.
pub(crate) const TARGETS_MAX: usize = u64::BITS as usize;

/// What is known of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    Well,
    /// Requests to it have failed: its breaker is open.
    Suspect,
    /// It says of itself that it is not ready, or does not answer its checks.
    Unhealthy,
}

/// A set of targets, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetSet(u64);

impl TargetSet {
    /// The set and one more.
    #[must_use]
    pub(crate) const fn with(self, index: usize) -> Self {
        Self(self.0 | (1 << index))
    }

    /// Whether a target is in it.
    pub(crate) const fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// Its only member, if there is one alone.
    pub(crate) const fn only(self) -> Option<usize> {
        if self.len() == 1 { Some(self.0.trailing_zeros() as usize) } else { None }
    }

    const fn len(self) -> u32 {
        self.0.count_ones()
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its members.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..TARGETS_MAX).filter(move |index| self.has(*index))
    }
}

/// What is known of all targets, without an allocation: this is asked for every request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetStates {
    count: u64,
    well: TargetSet,
    suspects: TargetSet,
}

impl FromIterator<TargetState> for TargetStates {
    fn from_iter<I: IntoIterator<Item = TargetState>>(states: I) -> Self {
        states.into_iter().enumerate().fold(Self::default(), |all, (index, state)| match state {
            TargetState::Well => Self { count: all.count + 1, well: all.well.with(index), ..all },
            TargetState::Suspect => Self { count: all.count + 1, suspects: all.suspects.with(index), ..all },
            TargetState::Unhealthy => Self { count: all.count + 1, ..all },
        })
    }
}

impl TargetStates {
    /// Whether requests to this target have failed.
    pub(crate) const fn is_suspect(&self, index: usize) -> bool {
        self.suspects.has(index)
    }
}

/// The targets to choose from: those that are well, without those that were tried as long as there are others, and
/// never those that refused.
///
/// Where more than `ejected_percent_max` of all targets are suspects, but not all, they are given requests all the same:
/// the few that are well would only fall to the load of all.
pub(crate) fn eligible(
    states: TargetStates,
    ejected_percent_max: u8,
    tried: TargetSet,
    refused: TargetSet,
) -> TargetSet {
    let TargetStates { count, well, suspects } = states;
    let too_many = u64::from(suspects.len()) * 100 > count * u64::from(ejected_percent_max);
    let pool = if well != TargetSet::default() && too_many { TargetSet(well.0 | suspects.0) } else { well };
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
    fn those_that_are_well_are_chosen_from() {
        let none = TargetSet::default();
        for (states, expected) in [
            (vec![Well, Well], vec![0, 1]),
            (vec![Well, Suspect], vec![0]),
            (vec![Unhealthy, Well, Unhealthy], vec![1]),
            (vec![Suspect, Suspect, Well], vec![0, 1, 2]),
            (vec![Suspect, Suspect], vec![]),
            (vec![Suspect, Unhealthy], vec![]),
            (vec![Unhealthy], vec![]),
        ] {
            assert_eq!(members(&states, none), expected, "{states:?}");
        }
    }

    #[test]
    fn another_target_is_preferred_to_one_that_was_tried() {
        assert_eq!(members(&[Well, Well], TargetSet::default().with(0)), [1]);
        assert_eq!(members(&[Well, Unhealthy], TargetSet::default().with(0)), [0], "there is no other");
    }

    proptest! {
        #[test]
        fn no_more_are_ejected_than_may_be_unless_all_are_down(
            states in proptest::collection::vec(prop_oneof![Just(Well), Just(Suspect)], 1..64),
            percent in 0u8..=100,
        ) {
            let pool = eligible(all(&states), percent, TargetSet::default(), TargetSet::default());
            let ejected = states.len() - pool.iter().count();
            let all_down = !states.contains(&Well);
            prop_assert!(all_down || ejected * 100 <= states.len() * usize::from(percent));
            prop_assert_eq!(pool.iter().count() == 0, all_down);
        }

        #[test]
        fn a_sick_target_is_never_chosen(
            states in proptest::collection::vec(prop_oneof![Just(Well), Just(Suspect), Just(Unhealthy)], 1..64),
            tried: u64,
            refused: u64,
        ) {
            let pool = eligible(all(&states), 50, TargetSet(tried), TargetSet(refused));
            prop_assert!(pool.iter().all(|index| states[index] != Unhealthy && !TargetSet(refused).has(index)));
        }
    }
}
