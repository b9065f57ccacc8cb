//! Points in time as this system shows them: RFC 3339, UTC, microseconds.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let utc = OffsetDateTime::from(time).to_offset(time::UtcOffset::UTC);
        Self(utc.replace_nanosecond(utc.nanosecond() / 1000 * 1000).unwrap_or(utc))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.format(&Rfc3339).map_err(ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(|time| Self(time.to_offset(time::UtcOffset::UTC)))
            .map_err(|error| de::Error::custom(format!("`{text}` is not an RFC 3339 time: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
