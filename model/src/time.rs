//! A moment in UTC. Event times, arrival times and the service clock are all of this type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time: write RFC 3339 such as 2026-11-22T08:00:00+08:00")]
pub struct TimeError {
    /// The text as it came.
    pub text: String,
}

impl Time {
    /// The earliest moment that RFC 3339 can write, year 0.
    pub const MIN: Time = Time(-62_167_219_200_000);
    /// The latest moment that the time library can print, in year 9999.
    pub const MAX: Time = Time(253_402_207_200_000);

    /// The moment `millis` milliseconds after the epoch, clamped to `MIN..=MAX`.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Time {
        if millis < Time::MIN.0 {
            Time::MIN
        } else if millis > Time::MAX.0 {
            Time::MAX
        } else {
            Time(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Time from `earlier` to `self`; negative if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0 - earlier.0)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time::from_millis(self.0.saturating_add(duration.millis()))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time::from_millis(self.0.saturating_sub(duration.millis()))
    }
}

/// RFC 3339 in UTC with `Z`; the fraction only where it is not zero.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment}")
    }
}

/// RFC 3339 with any offset; digits below the millisecond are cut off. A moment of the last day of year 9999 that lies
/// behind [`Time::MAX`], with which some devices mean "never", is that one.
impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        let text = text.trim();
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Time::from_millis(moment.as_millisecond()));
        }
        let pieces = jiff::fmt::temporal::Pieces::parse(text).ok();
        let beyond = pieces.filter(|pieces| {
            pieces.date().year() == 9999 && pieces.time().is_some() && pieces.offset().is_some()
        });
        beyond.map(|_| Time::MAX).ok_or_else(|| TimeError {
            text: text.to_owned(),
        })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_the_latest_moment() {
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999+08:00"] {
            assert_eq!(text.parse::<Time>(), Ok(Time::MAX), "{text}");
        }
        for text in ["9999-12-31T23:59:59", "9999-12-31", "9999-13-31T23:59:59Z"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_any_offset_and_prints_utc() {
        let time: Time = "2026-11-22T08:00:00.250+08:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T00:00:00.25Z");
        assert_eq!(
            "2017-08-27T01:30:00Z".parse::<Time>().unwrap().to_string(),
            "2017-08-27T01:30:00Z"
        );
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn prints_every_moment_it_can_hold() {
        for time in [
            Time::MIN,
            Time::MAX,
            Time::from_millis(i64::MAX),
            Time::from_millis(i64::MIN),
        ] {
            assert!(time.to_string().parse::<Time>().is_ok());
        }
    }
}
