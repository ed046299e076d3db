//! What the registry says about a sensor as far as rules care: what selects it, and what its values may be.

use citywatch_model::{Duration, Name, Sensor, Zones, flags};

use super::snapshot::codec::kept;

/// Staleness and plausible range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub stale_ms: i64,
    min: f64,
    max: f64,
}

kept!(Limits { stale_ms, min, max });

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

    /// Whether rules see a value of an observation with these flags. The range is that of the sensor's own
    /// readings, not of what is derived from them.
    pub(super) fn plausible(&self, value: f64, flags: u8) -> bool {
        (value >= self.min && value <= self.max) || flags & flags::DERIVED != 0
    }
}

/// The registered properties of one sensor. What every reading needs stands here, the rest aside.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    pub limits: Limits,
    /// Whether it reports faster while an alert of it is open.
    pub has_alarm_interval: bool,
    pub details: Box<Details>,
}

/// What is needed when rules are bound, and by those that look around.
#[derive(Debug, Clone, Default)]
pub(super) struct Details {
    tags: Vec<(Name, Name)>,
    pub zone: Option<Name>,
    /// Latitude and longitude in degrees.
    pub place: Option<(f64, f64)>,
    /// Usual time between two readings, and that while an alert is open.
    interval_ms: Option<i64>,
    interval_alarm_ms: Option<i64>,
    /// What it is declared to measure; empty if the registry does not say.
    pub measurements: Vec<Name>,
}

kept!(Profile {
    limits,
    has_alarm_interval,
    details
});
kept!(Details {
    tags,
    zone,
    place,
    interval_ms,
    interval_alarm_ms,
    measurements
});

impl Profile {
    pub(super) fn of(sensor: &Sensor) -> Profile {
        let tags = sensor.tags.iter();
        Profile {
            limits: Limits::of(sensor),
            has_alarm_interval: sensor.interval_alarm.is_some(),
            details: Box::new(Details {
                tags: tags.map(|(tag, value)| (*tag, *value)).collect(),
                zone: sensor.zone,
                place: sensor.place,
                interval_ms: sensor.interval.map(Duration::millis),
                interval_alarm_ms: sensor.interval_alarm.map(Duration::millis),
                measurements: sensor.measurements.clone(),
            }),
        }
    }

    /// Usual time between two readings at the moment.
    pub(super) fn interval_ms(&self, alarmed: bool) -> Option<i64> {
        let Details {
            interval_ms,
            interval_alarm_ms,
            ..
        } = *self.details;
        interval_alarm_ms.filter(|_| alarmed).or(interval_ms)
    }

    /// Whether `where:` selects the sensor `id`. `zones` knows which zone contains which.
    pub(super) fn selected_by(
        &self,
        selector: &[(Name, Vec<Name>)],
        id: Name,
        zones: &Zones,
    ) -> bool {
        selector.iter().all(|(tag, wanted)| match tag.as_str() {
            "sensor" => wanted.contains(&id),
            "zone" => self
                .details
                .zone
                .is_some_and(|zone| zones.around(zone).any(|zone| wanted.contains(&zone))),
            _ => self
                .details
                .tags
                .iter()
                .any(|(held, value)| held == tag && wanted.contains(value)),
        })
    }
}
