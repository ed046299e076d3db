//! Sensors that speak although no registry names them: a bounded list for people.

use std::collections::HashMap;

use citywatch_model::{Name, Registry, Time, name};
use parking_lot::Mutex;
use prometheus::IntGauge;
use serde::Serialize;

use super::Door;

/// Distinct unknown sensors of one run; names are never freed, so there must be an end.
pub const MAX_UNKNOWN_SENSORS: usize = 100_000;

/// A sensor that no registry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UnknownSensor {
    /// What it calls itself.
    pub id: Name,
    /// Arrival of its first reading since the start.
    pub first_seen: Time,
    /// Arrival of its newest reading.
    pub last_seen: Time,
    /// Its readings since the start.
    pub readings: u64,
    /// Where the newest came in.
    pub door: Door,
}

pub(super) struct UnknownSensors {
    seen: Mutex<HashMap<Name, UnknownSensor>>,
    gauge: IntGauge,
    limit: usize,
}

impl UnknownSensors {
    pub(super) fn new(gauge: IntGauge) -> UnknownSensors {
        UnknownSensors {
            seen: Mutex::default(),
            gauge,
            limit: MAX_UNKNOWN_SENSORS,
        }
    }

    /// Notes one observation and interns the id; `None` if there are too many already.
    pub(super) fn note(
        &self,
        id: &str,
        readings: usize,
        door: Door,
        arrival: Time,
    ) -> Option<Name> {
        let mut seen = self.seen.lock();
        // not interned yet means never seen, and interning waits for the limit
        let known = Name::from_existing(id).and_then(|id| seen.get_mut(&id));
        if let Some(sensor) = known {
            sensor.last_seen = arrival;
            sensor.readings += readings as u64;
            sensor.door = door;
            return Some(sensor.id);
        }
        if seen.len() >= self.limit {
            return None;
        }
        let id = name(id);
        let readings = readings as u64;
        seen.insert(
            id,
            UnknownSensor {
                id,
                first_seen: arrival,
                last_seen: arrival,
                readings,
                door,
            },
        );
        self.gauge
            .set(i64::try_from(seen.len()).unwrap_or(i64::MAX));
        Some(id)
    }

    pub(super) fn forget_registered(&self, registry: &Registry) {
        let mut seen = self.seen.lock();
        seen.retain(|id, _| !registry.sensors.contains_key(id));
        self.gauge
            .set(i64::try_from(seen.len()).unwrap_or(i64::MAX));
    }

    pub(super) fn list(&self) -> Vec<UnknownSensor> {
        let mut list: Vec<UnknownSensor> = self.seen.lock().values().copied().collect();
        list.sort_by_key(|sensor| sensor.id);
        list
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_list_ends_and_a_registered_sensor_leaves_it() {
        let gauge = IntGauge::new("unknown", "unknown").unwrap();
        let unknown = UnknownSensors {
            limit: 2,
            ..UnknownSensors::new(gauge.clone())
        };
        let at = Time::from_millis;
        assert!(unknown.note("unknown-b", 1, Door::Http, at(1)).is_some());
        assert!(unknown.note("unknown-a", 2, Door::Http, at(2)).is_some());
        assert_eq!(unknown.note("unknown-c", 1, Door::Http, at(3)), None);
        assert!(
            Name::from_existing("unknown-c").is_none(),
            "a refused name is not interned"
        );
        assert!(unknown.note("unknown-b", 3, Door::Broker, at(4)).is_some());
        let list = unknown.list();
        let b = UnknownSensor {
            id: name("unknown-b"),
            first_seen: at(1),
            last_seen: at(4),
            readings: 4,
            door: Door::Broker,
        };
        assert_eq!(
            (list.len(), list[0].id, list[1], gauge.get()),
            (2, name("unknown-a"), b, 2)
        );

        let mut registry = Registry::default();
        registry.sensors.insert(
            name("unknown-a"),
            citywatch_model::Sensor::unknown(name("unknown-a")),
        );
        unknown.forget_registered(&registry);
        assert_eq!((unknown.list(), gauge.get()), (vec![b], 1));
    }
}
