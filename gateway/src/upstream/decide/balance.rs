//! Load balancing: chooses one of the targets that are eligible for a request. Pure: numbers in, an index out; knows no
//! clock and no sockets.
//!
//! | kind | good for | costs |
//! |---|---|---|
//! | round robin | requests that all cost about the same | nothing |
//! | least in flight | requests that differ; few gateways | one look at each target |
//! | power of two choices | the same, with many gateways | two looks |
//! | hash | caches in the targets | a hash for each target |
//!
//! Power of two choices is the one with a trick. If many gateways all choose the target that is the least loaded, they
//! all choose the same one, and it is overloaded a moment later. If each draws two targets at random and takes the less
//! loaded of these, the load is nearly as even, and no herd forms (Mitzenmacher, 2001).
//!
//! A new kind of balancing is a variant of [`Balance`] and a function beside those here.

use std::str::FromStr;

use actix_http::header::HeaderName;

/// How requests are spread over the targets of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Balance {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight for its weight.
    LeastInFlight,
    /// Power of two choices: of two targets drawn by weight, the one with fewer requests in flight for its weight.
    P2c,
    /// The same target for the same key, as long as it is eligible.
    Hash(HashKey),
}

/// What the key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HashKey {
    Header(HeaderName),
    /// The signed-in caller, or else the address of the client.
    Caller,
}

impl FromStr for Balance {
    type Err = String;

    /// Reads `round_robin`, `least_in_flight` or `p2c`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "round_robin" => Ok(Self::RoundRobin),
            "least_in_flight" => Ok(Self::LeastInFlight),
            "p2c" => Ok(Self::P2c),
            _ => Err(format!(
                "`{text}` is not a kind of balancing; there are round_robin, least_in_flight, p2c, {{hash: a-header}} and {{hash: caller}}"
            )),
        }
    }
}

/// A target that is eligible for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its index among all targets.
    pub(crate) index: usize,
    /// Its share of the requests, above zero.
    pub(crate) weight: u32,
    pub(crate) in_flight: usize,
    /// The hash of its address, so that its keys stay with it when other targets are added or removed.
    pub(crate) hash: u64,
}

/// The numbers that a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChoiceInput {
    /// Number of choices before this one.
    pub(crate) turn: u64,
    /// Random, uniformly distributed.
    pub(crate) random: u64,
    /// The hash of the key; without one, [`Balance::Hash`] is round robin.
    pub(crate) key: Option<u64>,
}

/// Returns the index of the chosen target; `None` if there is no candidate.
pub(crate) fn choose(balance: &Balance, candidates: &[Candidate], input: ChoiceInput) -> Option<usize> {
    let chosen = match (balance, input.key) {
        (Balance::RoundRobin, _) | (Balance::Hash(_), None) => round_robin(candidates, input.turn),
        (Balance::LeastInFlight, _) => least_in_flight(candidates, input.turn),
        (Balance::P2c, _) => power_of_two_choices(candidates, input.random),
        (Balance::Hash(_), Some(key)) => rendezvous(candidates, key),
    };
    chosen.map(|candidate| candidate.index)
}

fn round_robin(candidates: &[Candidate], turn: u64) -> Option<&Candidate> {
    let first = candidates.first()?;
    if candidates.iter().all(|candidate| candidate.weight == first.weight) {
        return candidates.get(modulo(turn, candidates.len()));
    }
    // Multiples of the golden ratio, modulo one, visit every interval nearly as often as its length says, and never
    // twice in a short time (Knuth, volume 3, section 6.4): weights are kept without bursts, and without state but the
    // counter.
    at_fraction(candidates, turn.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Returns the candidate at `fraction`/2^64 of the sum of all weights.
fn at_fraction(candidates: &[Candidate], fraction: u64) -> Option<&Candidate> {
    let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
    let mut point = (u128::from(fraction) * u128::from(total)) >> 64;
    candidates.iter().find(|candidate| match point.checked_sub(u128::from(candidate.weight)) {
        Some(rest) => {
            point = rest;
            false
        }
        None => true,
    })
}

fn least_in_flight(candidates: &[Candidate], turn: u64) -> Option<&Candidate> {
    let start = if candidates.is_empty() { 0 } else { modulo(turn, candidates.len()) };
    // Ties are broken by the turn: otherwise the first target would get every request while nothing is loaded.
    let (before, from) = candidates.split_at(start);
    from.iter().chain(before).reduce(|least, other| if is_more_loaded(least, other) { other } else { least })
}

fn power_of_two_choices(candidates: &[Candidate], random: u64) -> Option<&Candidate> {
    let one = at_fraction(candidates, random)?;
    let rest: Vec<Candidate> = candidates.iter().filter(|other| other.index != one.index).copied().collect();
    let Some(two) = at_fraction(&rest, mix(random)) else { return Some(one) };
    let chosen = if is_more_loaded(one, two) { two.index } else { one.index };
    candidates.iter().find(|candidate| candidate.index == chosen)
}

/// Returns whether `one` would have more requests for its weight than `other`, with this one.
fn is_more_loaded(one: &Candidate, other: &Candidate) -> bool {
    let load = |of: &Candidate, weight: u32| (of.in_flight as u128 + 1) * u128::from(weight);
    load(one, other.weight) > load(other, one.weight)
}

/// Weighted rendezvous hashing: if a target is removed, only its own keys move.
fn rendezvous(candidates: &[Candidate], key: u64) -> Option<&Candidate> {
    let score = |candidate: &Candidate| {
        // 53 bits, as many as the mantissa of a double, so that the fraction is above 0 and below 1.
        let fraction = ((mix(key ^ candidate.hash) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        f64::from(candidate.weight) / -fraction.ln()
    };
    candidates.iter().max_by(|one, other| score(one).total_cmp(&score(other)))
}

/// Returns a hash that is the same in every gateway and every release (FNV-1a).
pub(crate) fn hash(text: &[u8]) -> u64 {
    mix(text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// Distributes the bits of a number over all 64 (the finalizer of `SplitMix64`).
pub(crate) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn modulo(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn candidates(weights: &[u32]) -> Vec<Candidate> {
        let one = |(index, weight): (usize, &u32)| Candidate {
            index,
            weight: *weight,
            in_flight: 0,
            hash: hash(index.to_string().as_bytes()),
        };
        weights.iter().enumerate().map(one).collect()
    }

    fn all() -> [Balance; 4] {
        [Balance::RoundRobin, Balance::LeastInFlight, Balance::P2c, Balance::Hash(HashKey::Caller)]
    }

    fn input(turn: u64) -> ChoiceInput {
        ChoiceInput { turn, random: mix(turn), key: Some(mix(turn ^ 77)) }
    }

    fn counts(balance: &Balance, weights: &[u32], draws: u64) -> HashMap<usize, u64> {
        let candidates = candidates(weights);
        let mut counts = HashMap::new();
        for turn in 0..draws {
            *counts.entry(choose(balance, &candidates, input(turn)).unwrap()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn targets_of_equal_weight_take_turns() {
        let candidates = candidates(&[2, 2, 2]);
        let chosen: Vec<_> =
            (0..6).map(|turn| choose(&Balance::RoundRobin, &candidates, input(turn)).unwrap()).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn weights_are_kept_without_bursts() {
        let counted = counts(&Balance::RoundRobin, &[1, 3], 400);
        assert!(counted[&0].abs_diff(100) <= 4, "{counted:?}");
        let candidates = candidates(&[1, 3]);
        let chosen: Vec<_> =
            (0..400).map(|turn| choose(&Balance::RoundRobin, &candidates, input(turn)).unwrap()).collect();
        assert!(chosen.windows(6).all(|window| window.contains(&0)), "the lighter one never waits for six turns");
    }

    #[test]
    fn the_least_loaded_for_its_weight_is_chosen() {
        let mut candidates = candidates(&[1, 1, 4]);
        for (in_flight, expected) in [([1, 0, 9], 1), ([3, 3, 9], 2), ([0, 1, 2], 2), ([0, 5, 20], 0)] {
            for (candidate, in_flight) in candidates.iter_mut().zip(in_flight) {
                candidate.in_flight = in_flight;
            }
            assert_eq!(choose(&Balance::LeastInFlight, &candidates, input(5)), Some(expected), "{in_flight:?}");
        }
    }

    #[test]
    fn the_more_loaded_of_two_is_never_chosen_by_two_choices() {
        let mut candidates = candidates(&[1, 1]);
        candidates[0].in_flight = 1;
        assert!((0..100).all(|turn| choose(&Balance::P2c, &candidates, input(turn)) == Some(1)));
    }

    #[test]
    fn a_key_moves_only_if_its_target_is_removed() {
        let all = candidates(&[1, 2, 3, 1]);
        let balance = Balance::Hash(HashKey::Caller);
        let mut moved = 0;
        for turn in 0..1000 {
            let before = choose(&balance, &all, input(turn)).unwrap();
            let after = choose(&balance, &all[1..], input(turn)).unwrap();
            moved += usize::from(before != after);
            assert!(before == 0 || before == after, "key {turn} moved from {before} to {after}");
        }
        assert!(moved > 50, "the keys of the first target move: {moved}");
    }

    proptest! {
        #[test]
        fn the_chosen_target_is_a_candidate(
            weights in proptest::collection::vec(1u32..1000, 0..8),
            busy in proptest::collection::vec(0usize..1000, 8),
            turn: u64,
            key: Option<u64>,
        ) {
            let mut candidates = candidates(&weights);
            candidates.iter_mut().zip(busy).for_each(|(candidate, busy)| candidate.in_flight = busy);
            candidates.reverse();
            for balance in all() {
                let chosen = choose(&balance, &candidates, ChoiceInput { turn, random: mix(turn), key });
                prop_assert_eq!(chosen.is_some(), !candidates.is_empty());
                prop_assert!(chosen.is_none_or(|index| candidates.iter().any(|candidate| candidate.index == index)));
            }
        }

        #[test]
        fn the_weights_of_idle_targets_are_kept(weights in proptest::collection::vec(1u32..10, 2..5)) {
            let total: u32 = weights.iter().sum();
            for balance in [Balance::RoundRobin, Balance::Hash(HashKey::Caller)] {
                let counted = counts(&balance, &weights, 4000);
                for (index, weight) in weights.iter().enumerate() {
                    let share = counted.get(&index).copied().unwrap_or(0) as f64 / 4000.0;
                    // Five standard deviations of a share of 4,000 draws: 5 × √(0.25 / 4000) = 0.04.
                    prop_assert!((share - f64::from(*weight) / f64::from(total)).abs() < 0.04, "{balance:?} {weights:?} {counted:?}");
                }
            }
        }
    }
}
