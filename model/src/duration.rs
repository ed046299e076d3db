//! Lengths of time as people write them in rules, registries and plans: `30s 5m 2h 7d`, or seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in milliseconds; negative only as a difference of two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(i64);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a duration: write a number with ms, s, m, h or d, such as 30s, 5m or 2h, or bare seconds"
)]
pub struct DurationError {
    /// The text as it came.
    pub text: String,
}

const UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);

    /// `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Duration {
        Duration(millis)
    }

    /// `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Duration {
        Duration(seconds.saturating_mul(1_000))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds, with their fraction.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// For timers of the standard library; zero if negative.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.try_into().unwrap_or(0))
    }

    /// `self` taken `times` times, at most the longest duration.
    #[must_use]
    pub const fn times(self, times: i64) -> Duration {
        Duration(self.0.saturating_mul(times))
    }
}

/// The largest unit that divides it: `90s`, `5m`, `1500ms`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, millis) = UNITS
            .into_iter()
            .rev()
            .find(|(_, millis)| self.0 != 0 && self.0 % millis == 0)
            .unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.0 / millis)
    }
}

/// `30s`, `1.5h`, `250ms`, or bare seconds; never negative.
impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Duration, DurationError> {
        let wrong = || DurationError {
            text: text.to_owned(),
        };
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &trimmed[digits.len()..] {
            "" => 1_000,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(wrong)?
                    .1
            }
        };
        let plain = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = plain
            .then(|| digits.parse().ok())
            .flatten()
            .ok_or_else(wrong)?;
        let millis = (number * unit as f64).round();
        // 10,000 years is more than any window; above it the product could leave i64
        if millis <= 3.2e14 {
            Ok(Duration(millis as i64))
        } else {
            Err(wrong())
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 30s, 5m or 2h, or a number of seconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
                seconds.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
                seconds.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
                seconds.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_what_people_write() {
        for (text, millis, printed) in [
            ("30s", 30_000, "30s"),
            ("90", 90_000, "90s"),
            ("5m", 300_000, "5m"),
            ("1.5h", 5_400_000, "90m"),
            ("7d", 604_800_000, "7d"),
            ("250ms", 250, "250ms"),
            ("0", 0, "0s"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(
                (duration.millis(), duration.to_string().as_str()),
                (millis, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "m",
            "-5m",
            "5 weeks",
            "5x",
            "1e9d",
            "nan",
            "99999999999d",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
