//! How the report writes numbers: counts, shares, lengths of time, levels.

use std::fmt::{self, Display, Formatter};

use citywatch_model::{Duration, Level};

use crate::backtest::report::ByLevel;

/// `1 sensor`, `2 sensors`.
pub struct Count(pub u64, pub &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ending = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", self.0, self.1)
    }
}

/// `12.5%`, or `-` if there is nothing to take a share of.
pub struct Percent(pub Option<f64>);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(share) => f.pad(&format!("{:.1}%", share * 100.0)),
            None => f.pad("-"),
        }
    }
}

/// A length of time with its sign, in its two largest units: `-1h 30m`.
pub struct Seconds(pub f64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0.0 { "-" } else { "" };
        let seconds = self.0.abs();
        if seconds < 60.0 {
            let millis = Duration::from_millis((seconds * 1_000.0).round() as i64);
            return write!(f, "{sign}{}s", millis.seconds());
        }
        let whole = seconds.round() as u64;
        let (large, unit, small, next) = match whole {
            0..3_600 => (whole / 60, "m", whole % 60, "s"),
            3_600..86_400 => (whole / 3_600, "h", whole % 3_600 / 60, "m"),
            _ => (whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
        };
        write!(f, "{sign}{large}{unit}")?;
        if small > 0 {
            write!(f, " {small}{next}")?;
        }
        Ok(())
    }
}

/// The worst first, levels without any left out.
pub struct Levels(pub ByLevel);

impl Display for Levels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let named = Level::ALL.into_iter().rev();
        let named = named.map(|level| (level, self.0.of(level)));
        let shown: Vec<String> = named
            .filter(|(_, count)| *count > 0)
            .map(|(level, count)| format!("{level} {count}"))
            .collect();
        match shown.is_empty() {
            true => f.write_str("no warning"),
            false => f.write_str(&shown.join(", ")),
        }
    }
}

/// Says how many of `count` are not shown.
pub fn more(f: &mut Formatter<'_>, count: u64, shown: usize, what: &str) -> fmt::Result {
    match count.saturating_sub(shown as u64) {
        0 => Ok(()),
        rest => writeln!(f, "  … and {rest} more {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_like_those_of_people() {
        for (seconds, text) in [
            (0.0, "0s"),
            (-0.25, "-0.25s"),
            (59.9, "59.9s"),
            (60.0, "1m"),
            (-5_400.0, "-1h 30m"),
            (90_061.0, "1d 1h"),
            (3_599.7, "1h"),
        ] {
            assert_eq!(Seconds(seconds).to_string(), text, "{seconds}");
        }
    }
}
