//! Decides which key signs and which keys verify. Pure: knows no files and no clock.
//!
//! ```text
//! created ──publish_for──► signs ──next key signs──► verifies ──token_lifetime──► retired
//! └─ Next: published       └─ Signing                └─ Verifying                 └─ Retired
//! ```
//!
//! Each step has a reason. Whoever verifies our tokens caches our JWKS, so that a key must be published for a while
//! before the first token is signed with it. And the last token of a key outlives its time as the signing key, so that
//! the key must verify until that token has expired. No state is kept: the roles follow from the creation times of the
//! keys and from the current time, so that several gateways over the same folder agree without talking to each other.

use std::time::{Duration, SystemTime};

use time::{PrimitiveDateTime, format_description};

/// How `gateway keys new` dates a key: `signing-key-20260131T235959Z.pem`.
const DATE_FORMAT: &str = "[year][month][day]T[hour][minute][second]Z";
/// Length of such a date.
const DATE_CHARS: usize = "20260131T235959Z".len();

/// When a key was created. Of two keys, the newer one is the greater.
///
/// A date in the file name takes precedence over the modification time of the file, which a new mount or a copy
/// changes. A dated key is newer than any undated one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CreationTime {
    dated: bool,
    created: SystemTime,
    /// Breaks a tie, in the same way on every machine.
    stem: String,
}

impl CreationTime {
    /// Returns the creation time of the key in the file `stem` + `.pem`, last modified at `modified`.
    pub(crate) fn of_file(stem: &str, modified: SystemTime) -> Self {
        let date = stem.len().checked_sub(DATE_CHARS).and_then(|start| stem.get(start..)).and_then(parse_date);
        Self { dated: date.is_some(), created: date.unwrap_or(modified), stem: stem.to_owned() }
    }
}

/// Returns the date in the name of a key file that is created at `now`.
pub(crate) fn file_date(now: SystemTime) -> String {
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
    /// How long a new key is published before it signs: longer than others cache our JWKS.
    pub(crate) publish_for: Duration,
    /// How long the last token of a key is accepted: its time to live, and the leeway for clocks.
    pub(crate) token_lifetime: Duration,
}

/// What a key is used for at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRole {
    /// Published and accepted, but not yet signing.
    Next,
    Signing,
    /// A newer key signs; tokens of this one may still be valid.
    Verifying,
    /// Its last token has expired.
    Retired,
}

/// Returns the role at `now` of each key.
///
/// The oldest key signs from the beginning, so that a single key signs at once.
pub(crate) fn roles(oldest_first: &[CreationTime], schedule: RotationSchedule, now: SystemTime) -> Vec<KeyRole> {
    let signs_from = |index: usize| match index {
        0 => SystemTime::UNIX_EPOCH,
        _ => oldest_first[index].created + schedule.publish_for,
    };
    let signing = (0..oldest_first.len()).rev().find(|index| signs_from(*index) <= now).unwrap_or(0);
    let role = |index: usize| match index.cmp(&signing) {
        std::cmp::Ordering::Greater => KeyRole::Next,
        std::cmp::Ordering::Equal => KeyRole::Signing,
        // It stopped signing when the first of its successors started.
        std::cmp::Ordering::Less => {
            let superseded = (index + 1..=signing).map(signs_from).min().unwrap_or(now);
            if now < superseded + schedule.token_lifetime { KeyRole::Verifying } else { KeyRole::Retired }
        }
    };
    (0..oldest_first.len()).map(role).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCHEDULE: RotationSchedule =
        RotationSchedule { publish_for: Duration::from_secs(600), token_lifetime: Duration::from_secs(3600) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn a_key_is_published_then_signs_then_verifies_then_retires() {
        let keys = [
            CreationTime::of_file("signing-key", at(0)),
            CreationTime::of_file("b", at(10_000)),
            CreationTime::of_file("c", at(20_000)),
        ];
        for (now, expected) in [
            (10_000, [KeyRole::Signing, KeyRole::Next, KeyRole::Next]),
            (10_599, [KeyRole::Signing, KeyRole::Next, KeyRole::Next]),
            (10_600, [KeyRole::Verifying, KeyRole::Signing, KeyRole::Next]),
            (14_199, [KeyRole::Verifying, KeyRole::Signing, KeyRole::Next]),
            (14_200, [KeyRole::Retired, KeyRole::Signing, KeyRole::Next]),
            (20_600, [KeyRole::Retired, KeyRole::Verifying, KeyRole::Signing]),
            (24_200, [KeyRole::Retired, KeyRole::Retired, KeyRole::Signing]),
        ] {
            assert_eq!(roles(&keys, SCHEDULE, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_single_key_signs_at_once() {
        assert_eq!(roles(&[CreationTime::of_file("signing-key", at(0))], SCHEDULE, at(0)), [KeyRole::Signing]);
        assert_eq!(
            roles(&[CreationTime::of_file("signing-key", at(9))], SCHEDULE, at(0)),
            [KeyRole::Signing],
            "even from the future"
        );
        assert_eq!(roles(&[], SCHEDULE, at(0)), []);
    }

    #[test]
    fn a_date_in_the_name_counts_before_the_time_of_the_file() {
        let name = format!("signing-key-{}", file_date(at(5)));
        assert_eq!(CreationTime::of_file(&name, at(999)), CreationTime::of_file(&name, at(0)));
        assert!(
            CreationTime::of_file(&name, at(0)) > CreationTime::of_file("signing-key", at(999)),
            "a dated key is newer than any undated"
        );
        for stem in ["signing-key", "", "20260131", "x-20261331T235959Z", "é0260131T235959Z"] {
            assert!(!CreationTime::of_file(stem, at(0)).dated, "{stem}");
        }
    }

    proptest! {
        #[test]
        fn exactly_one_key_signs_and_none_verifies_that_is_not_published(
            creation_times in proptest::collection::vec((any::<bool>(), 0u64..100_000), 1..8),
            now in 0u64..200_000,
        ) {
            let mut creation_times: Vec<CreationTime> = creation_times
                .iter()
                .enumerate()
                .map(|(n, (dated, since))| {
                    let stem = if *dated { format!("k{n}-{}", file_date(at(*since))) } else { format!("k{n}") };
                    CreationTime::of_file(&stem, at(*since))
                })
                .collect();
            creation_times.sort();
            let roles = roles(&creation_times, SCHEDULE, at(now));
            prop_assert_eq!(roles.iter().filter(|role| **role == KeyRole::Signing).count(), 1);
            let signing = roles.iter().position(|role| *role == KeyRole::Signing).unwrap();
            prop_assert!(roles[signing + 1..].iter().all(|role| *role == KeyRole::Next));
            prop_assert!(roles[..signing].iter().all(|role| matches!(role, KeyRole::Verifying | KeyRole::Retired)));
        }
    }
}
