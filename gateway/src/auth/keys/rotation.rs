//! Decides which key signs and which still verify: publish, then sign, then retire. Pure: knows no files and no clock.

use std::time::{Duration, SystemTime};

use time::{PrimitiveDateTime, format_description};

/// How `gateway keys new` dates a key: `signing-key-20260131T235959Z.pem`.
const DATE_FORMAT: &str = "[year][month][day]T[hour][minute][second]Z";
/// The length of such a date.
const DATE_CHARS: usize = "20260131T235959Z".len();

/// When a key came into being. Of two keys the greater is the newer one.
///
/// A date in the name counts before the time of the file, which a new mount or a copy changes; so a dated key is newer
/// than any undated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Birth {
    dated: bool,
    since: SystemTime,
    /// Settles a tie in the same way everywhere.
    stem: String,
}

impl Birth {
    /// The birth of the key in the file `stem` + `.pem`, last changed at `modified`.
    pub(crate) fn of(stem: &str, modified: SystemTime) -> Self {
        let date = stem.len().checked_sub(DATE_CHARS).and_then(|start| stem.get(start..)).and_then(parse_date);
        Self { dated: date.is_some(), since: date.unwrap_or(modified), stem: stem.to_owned() }
    }
}

/// The end of the name of a key that is made at `now`.
pub(crate) fn date(now: SystemTime) -> String {
    let format = format_description::parse_borrowed::<2>(DATE_FORMAT).ok();
    format.and_then(|format| time::UtcDateTime::from(now).format(&format).ok()).unwrap_or_default()
}

fn parse_date(text: &str) -> Option<SystemTime> {
    let format = format_description::parse_borrowed::<2>(DATE_FORMAT).ok()?;
    PrimitiveDateTime::parse(text, &format).ok().map(|date| date.assume_utc().into())
}

/// How long the steps of a rotation take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RotationSchedule {
    /// How long a new key is published before it signs, so that whoever keeps our JWKS has it by then.
    pub(crate) publish_for: Duration,
    /// How long the last token of a key can be presented: its time to live, and the leeway.
    pub(crate) token_lifetime: Duration,
}

/// What a key is for at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Published, and believed, but not yet signing.
    Next,
    Signing,
    /// A newer key signs; tokens of this one are still about.
    Verifying,
    /// Its last token has expired.
    Retired,
}

/// The role at `now` of each of these keys, which go from the oldest to the newest.
///
/// The oldest signs from the beginning, so that an only key signs at once.
pub(crate) fn roles(oldest_first: &[Birth], pace: RotationSchedule, now: SystemTime) -> Vec<Role> {
    let signs_from = |index: usize| match index {
        0 => SystemTime::UNIX_EPOCH,
        _ => oldest_first[index].since + pace.publish_for,
    };
    let signing = (0..oldest_first.len()).rev().find(|index| signs_from(*index) <= now).unwrap_or(0);
    let role = |index: usize| match index.cmp(&signing) {
        std::cmp::Ordering::Greater => Role::Next,
        std::cmp::Ordering::Equal => Role::Signing,
        // The first of its successors to sign ended its time.
        std::cmp::Ordering::Less => {
            let superseded = (index + 1..=signing).map(signs_from).min().unwrap_or(now);
            if now < superseded + pace.token_lifetime { Role::Verifying } else { Role::Retired }
        }
    };
    (0..oldest_first.len()).map(role).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: RotationSchedule =
        RotationSchedule { publish_for: Duration::from_secs(600), token_lifetime: Duration::from_secs(3600) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn a_key_is_published_then_signs_then_verifies_then_retires() {
        let keys = [Birth::of("signing-key", at(0)), Birth::of("b", at(10_000)), Birth::of("c", at(20_000))];
        for (now, expected) in [
            (10_000, [Role::Signing, Role::Next, Role::Next]),
            (10_599, [Role::Signing, Role::Next, Role::Next]),
            (10_600, [Role::Verifying, Role::Signing, Role::Next]),
            (14_199, [Role::Verifying, Role::Signing, Role::Next]),
            (14_200, [Role::Retired, Role::Signing, Role::Next]),
            (20_600, [Role::Retired, Role::Verifying, Role::Signing]),
            (24_200, [Role::Retired, Role::Retired, Role::Signing]),
        ] {
            assert_eq!(roles(&keys, PACE, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn an_only_key_signs_at_once() {
        assert_eq!(roles(&[Birth::of("signing-key", at(0))], PACE, at(0)), [Role::Signing]);
        assert_eq!(roles(&[Birth::of("signing-key", at(9))], PACE, at(0)), [Role::Signing], "even from the future");
        assert_eq!(roles(&[], PACE, at(0)), []);
    }

    #[test]
    fn a_date_in_the_name_counts_before_the_time_of_the_file() {
        let name = format!("signing-key-{}", date(at(5)));
        assert_eq!(Birth::of(&name, at(999)), Birth::of(&name, at(0)));
        assert!(Birth::of(&name, at(0)) > Birth::of("signing-key", at(999)), "a dated key is newer than any undated");
        for stem in ["signing-key", "", "20260131", "x-20261331T235959Z", "é0260131T235959Z"] {
            assert!(!Birth::of(stem, at(0)).dated, "{stem}");
        }
    }

    proptest! {
        #[test]
        fn exactly_one_key_signs_and_none_verifies_that_is_not_published(
            births in proptest::collection::vec((any::<bool>(), 0u64..100_000), 1..8),
            now in 0u64..200_000,
        ) {
            let mut births: Vec<Birth> = births
                .iter()
                .enumerate()
                .map(|(n, (dated, since))| {
                    let stem = if *dated { format!("k{n}-{}", date(at(*since))) } else { format!("k{n}") };
                    Birth::of(&stem, at(*since))
                })
                .collect();
            births.sort();
            let roles = roles(&births, PACE, at(now));
            prop_assert_eq!(roles.iter().filter(|role| **role == Role::Signing).count(), 1);
            let signing = roles.iter().position(|role| *role == Role::Signing).unwrap();
            prop_assert!(roles[signing + 1..].iter().all(|role| *role == Role::Next));
            prop_assert!(roles[..signing].iter().all(|role| matches!(role, Role::Verifying | Role::Retired)));
        }
    }
}
