//! Readings that rules could not use as they came: counted in the metrics, and the sensors named, because a sensor
//! whose unit does not convert, whose values pass its limits or whose clock went back is one that nobody watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use citywatch_model::Name;
use citywatch_rules::{Counts, Incomplete, UnitError, Unjudged, UnjudgedWhy};
use prometheus::{IntCounterVec, Opts, Registry};

/// Unit mistakes, and sensors whose readings raise nothing, that are named; further ones are only counted.
const NAMED: usize = 1_000;

/// By rule, sensor and unit.
type UnitErrors = BTreeMap<(Name, Name, Name), UnitError>;

/// By sensor, measurement and reason.
type AllUnjudged = BTreeMap<(Name, Name, UnjudgedWhy), Unjudged>;

/// By series, sensor and input.
type AllIncomplete = BTreeMap<(Name, Name, Name), u64>;

/// What was noted so far; clones share it.
#[derive(Clone)]
pub struct Notes {
    readings: IntCounterVec,
    units: Arc<Mutex<UnitErrors>>,
    unjudged: Arc<Mutex<AllUnjudged>>,
    incomplete: Arc<Mutex<AllIncomplete>>,
}

impl Notes {
    /// Notes that show in `metrics`.
    pub fn register(metrics: &Registry) -> Result<Notes, prometheus::Error> {
        let options = Opts::new(
            "citywatch_engine_readings_total",
            "Readings that rules read, and those that they could not use as they came.",
        );
        let readings = IntCounterVec::new(options, &["kind"])?;
        metrics.register(Box::new(readings.clone()))?;
        Ok(Notes {
            readings,
            units: Arc::default(),
            unjudged: Arc::default(),
            incomplete: Arc::default(),
        })
    }

    /// Adds what an epoch counted.
    pub fn add(&self, counts: &Counts) {
        for (kind, count) in [
            ("read", counts.readings),
            ("late", counts.late),
            ("repeat", counts.repeats),
            ("conflict", counts.conflicts),
            ("implausible", counts.implausible),
            ("unit_error", counts.unit_errors),
            ("incomplete", counts.incomplete),
        ] {
            if count > 0 {
                self.readings.with_label_values(&[kind]).inc_by(count);
            }
        }
        if !counts.unit_newest.is_empty() {
            self.add_units(&counts.unit_newest);
        }
        if !counts.unjudged_newest.is_empty() {
            self.add_unjudged(&counts.unjudged_newest);
        }
        if !counts.incomplete_newest.is_empty() {
            self.add_incomplete(&counts.incomplete_newest);
        }
    }

    fn add_incomplete(&self, newest: &[Incomplete]) {
        let all = self.incomplete.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        for incomplete in newest {
            let key = (incomplete.series, incomplete.sensor, incomplete.measurement);
            if let Some(times) = all.get_mut(&key) {
                *times += incomplete.times;
            } else if all.len() < NAMED {
                tracing::warn!(
                    series = %incomplete.series, sensor = %incomplete.sensor, measurement = %incomplete.measurement,
                    time = %incomplete.time,
                    "a derived series gives up event times because this input has no reading for them; if its inputs come at different times, give the series `align`"
                );
                all.insert(key, incomplete.times);
            }
        }
    }

    fn add_units(&self, newest: &[UnitError]) {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        for error in newest {
            let key = (error.rule, error.sensor, error.unit);
            if let Some(known) = units.get_mut(&key) {
                *known = UnitError {
                    times: known.times + error.times,
                    ..error.clone()
                };
            } else if units.len() < NAMED {
                tracing::warn!(
                    rule = %error.rule, sensor = %error.sensor, unit = %error.unit, wanted = %error.wanted,
                    "a rule does not see this sensor: its unit cannot be converted; correct the unit of the sensor or of the rule"
                );
                units.insert(key, error.clone());
            }
        }
    }

    fn add_unjudged(&self, newest: &[Unjudged]) {
        let mut all = self.unjudged.lock().unwrap_or_else(PoisonError::into_inner);
        for unjudged in newest {
            let key = (unjudged.sensor, unjudged.measurement, unjudged.why);
            if let Some(known) = all.get_mut(&key) {
                known.add(unjudged);
            } else if all.len() < NAMED {
                let what_to_do = match unjudged.why {
                    UnjudgedWhy::Implausible => {
                        "a value lies outside of min and max of its sensor and is shown to no rule; a range must hold all that the sensor can send when things are bad"
                    }
                    UnjudgedWhy::Late => {
                        "a reading is older than one that came before, so it raises nothing; look at the sensor's clock"
                    }
                };
                tracing::warn!(
                    sensor = %unjudged.sensor, measurement = %unjudged.measurement, value = unjudged.value,
                    time = %unjudged.time, "{what_to_do}"
                );
                all.insert(key, unjudged.clone());
            }
        }
    }

    /// Sensors whose readings raised nothing since the start, by sensor, measurement and reason.
    pub fn unjudged(&self) -> Vec<Unjudged> {
        let all = self.unjudged.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// The unit mistakes since the start, by rule, sensor and unit.
    pub fn unit_errors(&self) -> Vec<UnitError> {
        self.units
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}
