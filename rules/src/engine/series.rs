//! The readings of one sensor and measurement in one unit: the newest one, and as many before it as the
//! widest window over them needs, 16 bytes each. Knows nothing of rules; whoever reads it keeps cursors.

mod snapshot;

use std::collections::VecDeque;

use citywatch_model::{Name, Time};

use super::baseline::Baseline;
use crate::units::{self, Conversion};

/// Readings in order of event time, numbered from 0 in the order in which they stand.
#[derive(Debug)]
pub(super) struct Series {
    pub measurement: Name,
    /// What values are converted to; empty: they are taken as they come.
    pub unit: Name,
    /// Event time of the newest reading; `None` before the first.
    pub newest: Option<Time>,
    /// Value of the newest reading.
    pub value: f64,
    /// Clock at which the newest reading arrived.
    pub arrival: Time,
    /// Number of the step that brought the newest reading.
    pub fresh: u64,
    /// Counts insertions into the middle, after which numbers no longer mean what they did.
    pub revision: u64,
    /// Sums by local hour, where a rule names `baseline`.
    pub baseline: Option<Box<Baseline>>,
    width_ms: i64,
    kept: VecDeque<(i64, f64)>,
    dropped: u64,
    /// How the unit that came last is converted.
    conversion: (Name, Option<Conversion>),
}

impl Series {
    pub(super) fn new(measurement: Name, unit: Name) -> Series {
        Series {
            measurement,
            unit,
            newest: None,
            value: f64::NAN,
            arrival: Time::MIN,
            fresh: 0,
            revision: 1,
            baseline: None,
            width_ms: 0,
            kept: VecDeque::new(),
            dropped: 0,
            conversion: (unit, units::factor(unit, unit)),
        }
    }

    /// Keeps readings as far back as `width_ms` before the newest; 0 keeps the newest alone.
    pub(super) fn keep(&mut self, width_ms: i64) {
        if width_ms > 0
            && self.kept.is_empty()
            && let Some(time) = self.newest
        {
            self.kept.push_back((time.millis(), self.value));
            self.revision += 1;
        }
        self.width_ms = width_ms;
    }

    /// Keeps sums by local hour over `days` days; 0 keeps none.
    pub(super) fn remember(&mut self, days: u16, time_zone: Name) {
        if days == 0 {
            self.baseline = None;
            return;
        }
        let (newest, value) = (self.newest, self.value);
        let baseline = self.baseline.get_or_insert_with(|| {
            let mut baseline = Baseline::new(time_zone);
            if let Some(newest) = newest {
                baseline.file(newest.millis(), value);
            }
            Box::new(baseline)
        });
        baseline.keep(days, time_zone);
    }

    /// `value` in this series' unit; `None` if `unit` cannot be converted. A payload without a unit is
    /// taken to speak the unit of the rule.
    pub(super) fn convert(&mut self, value: f64, unit: Name) -> Option<f64> {
        if unit == self.unit || unit.is_empty() || self.unit.is_empty() {
            return Some(value);
        }
        if self.conversion.0 != unit {
            self.conversion = (unit, units::factor(unit, self.unit));
        }
        self.conversion
            .1
            .map(|conversion| conversion.apply(value))
            .filter(|value| value.is_finite())
    }

    /// Adds a reading newer than all others.
    pub(super) fn push(&mut self, time: Time, value: f64) {
        self.newest = Some(time);
        self.value = value;
        if self.width_ms > 0 {
            self.kept.push_back((time.millis(), value));
        }
        if let Some(baseline) = &mut self.baseline {
            baseline.file(time.millis(), value);
        }
    }

    /// Adds a reading older than the newest, unless no window reaches back to it.
    pub(super) fn fill(&mut self, time: Time, value: f64) {
        let time = time.millis();
        if let Some(baseline) = &mut self.baseline {
            baseline.file(time, value);
        }
        if self.width_ms == 0 || time < self.oldest_wanted() {
            return;
        }
        let place = self.kept.partition_point(|(at, _)| *at < time);
        self.kept.insert(place, (time, value));
        self.revision += 1;
    }

    /// The value at exactly `time`, if it is still kept.
    pub(super) fn at(&self, time: Time) -> Option<f64> {
        self.kept
            .binary_search_by_key(&time.millis(), |(at, _)| *at)
            .ok()
            .map(|place| self.kept[place].1)
    }

    /// Drops what no window can reach any more. To be called once every cursor has moved on.
    pub(super) fn trim(&mut self) {
        let oldest = self.oldest_wanted();
        while self.kept.front().is_some_and(|(time, _)| *time < oldest)
            || (self.width_ms == 0 && !self.kept.is_empty())
        {
            self.kept.pop_front();
            self.dropped += 1;
        }
    }

    /// Number of the oldest reading kept.
    pub(super) fn start(&self) -> u64 {
        self.dropped
    }

    /// One more than the number of the newest reading kept.
    pub(super) fn end(&self) -> u64 {
        self.dropped + self.kept.len() as u64
    }

    /// Event time in milliseconds and value of reading `number`, which must lie in `start()..end()`.
    pub(super) fn get(&self, number: u64) -> (i64, f64) {
        self.kept[(number - self.dropped) as usize]
    }

    /// How far back readings are kept.
    pub(super) fn width_ms(&self) -> i64 {
        self.width_ms
    }

    fn oldest_wanted(&self) -> i64 {
        self.newest.map_or(i64::MIN, |newest| {
            newest.millis().saturating_sub(self.width_ms)
        })
    }
}
