//! Readings that rules could not use as they came: counted in the metrics, and the unit mistakes named,
//! because a sensor whose unit does not convert is a sensor that nobody watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use citywatch_model::Name;
use citywatch_rules::{Counts, UnitError};
use prometheus::{IntCounterVec, Opts, Registry};

/// Unit mistakes that are named; further ones are only counted.
const NAMED: usize = 1_000;

/// By rule, sensor and unit.
type UnitErrors = BTreeMap<(Name, Name, Name), UnitError>;

/// What was noted so far; clones share it.
#[derive(Clone)]
pub struct Notes {
    readings: IntCounterVec,
    units: Arc<Mutex<UnitErrors>>,
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
        ] {
            if count > 0 {
                self.readings.with_label_values(&[kind]).inc_by(count);
            }
        }
        if counts.unit_newest.is_empty() {
            return;
        }
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        for error in &counts.unit_newest {
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
