//! Down-sampling for charts: a few buckets that keep the extremes of many readings.

use citywatch_model::{Name, Time};
use serde::Serialize;

use super::StoredReading;

/// What some neighbouring readings of one unit have in common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bucket {
    /// Event time of the newest reading in it, so that a lone reading stands where it was measured.
    pub time: Time,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Value of the newest reading.
    pub last: f64,
    /// How many readings.
    pub count: u64,
    /// Their unit; may be empty.
    pub unit: Name,
}

/// Readings that come oldest first, in at most `max_points` equal parts of `from..=to`.
pub(super) fn buckets<E>(
    readings: impl Iterator<Item = Result<StoredReading, E>>,
    (from, to): (Time, Time),
    max_points: usize,
) -> Result<Vec<Bucket>, E> {
    let points = i64::try_from(max_points.max(1)).unwrap_or(i64::MAX);
    let span = to.since(from).millis().saturating_add(1).max(1);
    let width = span.saturating_add(points - 1) / points;
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut part = None;
    for reading in readings {
        let StoredReading {
            time, value, unit, ..
        } = reading?;
        let here = time.since(from).millis() / width.max(1);
        match buckets.last_mut() {
            Some(bucket) if part == Some(here) && bucket.unit == unit => bucket.add(time, value),
            _ => buckets.push(Bucket {
                time,
                min: value,
                max: value,
                mean: value,
                last: value,
                count: 1,
                unit,
            }),
        }
        part = Some(here);
    }
    Ok(buckets)
}

impl Bucket {
    fn add(&mut self, time: Time, value: f64) {
        self.count += 1;
        self.time = time;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
        // running mean: a sum of many large values could leave the range of f64
        self.mean += (value - self.mean) / self.count as f64;
    }
}
