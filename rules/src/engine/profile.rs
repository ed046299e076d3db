//! What the registry says about a sensor as far as rules care: what selects it, and what its values may be.

use citywatch_model::{Duration, Name, Registry, Sensor};

use crate::ast::Rule;

/// Staleness and plausible range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub stale_ms: i64,
    min: f64,
    max: f64,
}

/// Those of a sensor that nobody registered: 24 h, any value.
impl Default for Limits {
    fn default() -> Limits {
        Limits {
            stale_ms: Duration::from_secs(86_400).millis(),
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
        }
    }
}

impl Limits {
    pub(super) fn of(sensor: &Sensor) -> Limits {
        Limits {
            stale_ms: sensor.stale_after().millis(),
            min: sensor.min.unwrap_or(f64::NEG_INFINITY),
            max: sensor.max.unwrap_or(f64::INFINITY),
        }
    }

    pub(super) fn plausible(&self, value: f64) -> bool {
        value >= self.min && value <= self.max
    }
}

/// The registered properties of one sensor.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub limits: Limits,
    tags: Vec<(Name, Name)>,
    zone: Option<Name>,
    /// What it is declared to measure; empty if the registry does not say.
    pub measurements: Vec<Name>,
}

impl Profile {
    pub(super) fn of(sensor: &Sensor) -> Profile {
        Profile {
            limits: Limits::of(sensor),
            tags: sensor
                .tags
                .iter()
                .map(|(tag, value)| (*tag, *value))
                .collect(),
            zone: sensor.zone,
            measurements: sensor.measurements.clone(),
        }
    }

    /// Whether `where:` of `rule` selects the sensor `id`. `zones` knows which zone contains which.
    pub(super) fn selected_by(&self, rule: &Rule, id: Name, zones: &Registry) -> bool {
        rule.selector
            .iter()
            .all(|(tag, wanted)| match tag.as_str() {
                "sensor" => wanted.contains(&id),
                "zone" => self.zone.is_some_and(|zone| {
                    zones.zones_around(zone).any(|zone| wanted.contains(&zone))
                }),
                _ => self
                    .tags
                    .iter()
                    .any(|(held, value)| held == tag && wanted.contains(value)),
            })
    }
}
