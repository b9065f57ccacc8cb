//! Points in time as this system shows them: RFC 3339 in UTC, always with six digits of the second, so that texts sort as the
//! times do.

use std::{
    fmt,
    num::NonZeroU8,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::{
    OffsetDateTime,
    format_description::well_known::{
        Iso8601, Rfc3339,
        iso8601::{Config, EncodedConfig, TimePrecision},
    },
};

/// A profile of ISO 8601 that is valid in RFC 3339 too. The format `Rfc3339` leaves out zeros at the end of the second, and
/// `…00.5Z` would sort behind `…00.51Z`.
const MICROSECONDS: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZeroU8::new(6) }).encode();

/// A point in time, to the microsecond, so that what is stored and what is shown are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Microseconds since 1970.
    pub fn unix_micros(self) -> i64 {
        i64::try_from(self.0.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
    }

    /// The time at this number of microseconds since 1970; `None` beyond the year 9999.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok().map(Self)
    }

    /// The time so much later, or the last of the year 9999.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        Self::cut_to_micros(self.0.saturating_add(duration))
    }

    /// How much later this time is than another one; zero where it is earlier.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }

    fn cut_to_micros(utc: OffsetDateTime) -> Self {
        Self(utc.replace_nanosecond(utc.nanosecond() / 1000 * 1000).unwrap_or(utc))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::cut_to_micros(OffsetDateTime::from(time).to_offset(time::UtcOffset::UTC))
    }
}

impl FromStr for Timestamp {
    type Err = time::error::Parse;

    /// Reads a time of RFC 3339 with any offset; what is finer than a microsecond is cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let utc = OffsetDateTime::parse(text, &Rfc3339)?.to_offset(time::UtcOffset::UTC);
        Ok(Self::cut_to_micros(utc))
    }
}

/// For people: RFC 3339 without the zeros at the end of the second.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.format(&Iso8601::<MICROSECONDS>).map_err(ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("`{text}` is not an RFC 3339 time: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_as_the_times_do() {
        let text = |micros| serde_json::to_string(&Timestamp::from_unix_micros(micros).unwrap()).unwrap();
        let times = [0, 1, 9, 10, 99, 100, 500_000, 510_000, 999_999, 1_000_000, 1_000_001];
        let texts: Vec<String> = times.into_iter().map(|micros| text(1_700_000_000_000_000 + micros)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[0], "\"2023-11-14T22:13:20.000000Z\"");
    }

    #[test]
    fn sums_and_differences_stay_within_what_a_time_can_be() {
        let time = Timestamp::from_unix_micros(1_000_000).unwrap();
        let later = time.saturating_add(Duration::from_millis(2500));
        assert_eq!(later.unix_micros(), 3_500_000);
        assert_eq!(later.saturating_since(time), Duration::from_millis(2500));
        assert_eq!(time.saturating_since(later), Duration::ZERO);
        let last = time.saturating_add(Duration::MAX);
        assert_eq!(serde_json::to_string(&last).unwrap(), "\"9999-12-31T23:59:59.999999Z\"");
    }

    #[test]
    fn a_time_is_shown_in_utc_and_read_back_the_same() {
        let time = Timestamp::from_unix_micros(1_700_000_000_123_456).unwrap();
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, "\"2023-11-14T22:13:20.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        assert_eq!(time.unix_micros(), 1_700_000_000_123_456);
        let offset: Timestamp = serde_json::from_str("\"2023-11-14T23:13:20.123456+01:00\"").unwrap();
        assert_eq!(offset, time);
    }
}
