//! Latencies as they are told to people: how many, the median, the 99th percentile, the greatest.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

/// A collection of latencies between 1 µs and 10 minutes, kept to three digits.
#[derive(Debug, Clone)]
pub struct Latencies {
    micros: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let micros = Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid");
        Latencies { micros }
    }
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.micros.saturating_record(
            u64::try_from(latency.as_micros())
                .unwrap_or(u64::MAX)
                .max(1),
        );
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.micros.len()
    }

    /// The latency that `percent` of all do not exceed, in milliseconds.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        self.micros.value_at_percentile(percent) as f64 / 1_000.0
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.micros.is_empty() {
            return f.write_str("none");
        }
        let ms = |percent| self.percentile_ms(percent);
        write!(
            f,
            "{}, median {:.2} ms, 99th percentile {:.2} ms, greatest {:.2} ms",
            self.count(),
            ms(50.0),
            ms(99.0),
            ms(100.0)
        )
    }
}

/// Time since 1970 by the wall clock.
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_median_and_tail() {
        let mut latencies = Latencies::default();
        for micros in 1..=1000 {
            latencies.add(Duration::from_micros(micros));
        }
        assert_eq!(
            latencies.to_string(),
            "1000, median 0.50 ms, 99th percentile 0.99 ms, greatest 1.00 ms"
        );
        assert_eq!(Latencies::default().to_string(), "none");
    }
}
