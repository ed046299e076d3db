//! Everything that was ever heard: the registry and all readings in plain vectors. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Name, Observation, Registry, RegistryChange, Sensor, Value, flags, name};
use citywatch_rules::units;
use jiff::civil::Date;

/// A reading that the rules may see, as it was filed.
#[derive(Debug, Clone)]
pub struct Filed {
    /// Event time.
    pub time: i64,
    /// Arrival time.
    pub arrival: i64,
    pub value: f64,
    pub unit: Name,
    /// Whether it was the newest of its series when it came; a late one only fills windows.
    pub newest: bool,
    /// Local date and hour of the event time, by the time zone of that day.
    pub local: (Date, i8),
}

/// Series that brought a reading newer than all before in this step.
pub type Touched = BTreeSet<(Name, Name)>;

#[derive(Debug, Default, Clone)]
pub struct World {
    pub registry: Registry,
    /// Since when a sensor is known: its registration, else its first observation.
    pub known: BTreeMap<Name, i64>,
    /// By sensor and measurement, in the order of event times.
    pub series: BTreeMap<(Name, Name), Vec<Filed>>,
    /// Clock of the newest service start or link reconnection.
    pub moved: Option<i64>,
    /// Zones that a derived series was made for.
    pub with_series: BTreeSet<Name>,
    /// Clock of the newest record or moment.
    pub clock: i64,
}

impl World {
    pub fn apply(&mut self, change: &RegistryChange) {
        self.registry.apply(change);
        for id in &change.remove {
            self.known.remove(id);
            self.series.retain(|(sensor, _), _| sensor != id);
        }
        for sensor in &change.upsert {
            self.known.entry(sensor.id).or_insert(self.clock);
        }
    }

    /// The registered profile, or that of a sensor of which nothing is known. A derived series of a zone
    /// stands in that zone.
    pub fn profile(&self, id: Name) -> Sensor {
        let registered = self.registry.sensors.get(&id).cloned();
        registered.unwrap_or_else(|| {
            let zone = self.with_series.contains(&id).then_some(id);
            Sensor {
                zone,
                ..Sensor::unknown(id)
            }
        })
    }

    /// Whether `zone` is `outer` or lies in it.
    pub fn inside(&self, zone: Name, outer: Name) -> bool {
        self.registry
            .zones
            .around(zone)
            .any(|around| around == outer)
    }

    /// Whether `where:` selects the sensor.
    pub fn selected(&self, selector: &[(Name, Vec<Name>)], id: Name) -> bool {
        let profile = self.profile(id);
        selector.iter().all(|(tag, wanted)| match tag.as_str() {
            "sensor" => wanted.contains(&id),
            "zone" => profile
                .zone
                .is_some_and(|zone| wanted.iter().any(|outer| self.inside(zone, *outer))),
            _ => profile
                .tags
                .get(tag)
                .is_some_and(|value| wanted.contains(value)),
        })
    }

    /// In milliseconds.
    pub fn stale_after(&self, id: Name) -> i64 {
        self.profile(id).stale_after().millis()
    }

    pub fn readings(&self, sensor: Name, measurement: Name) -> &[Filed] {
        self.series
            .get(&(sensor, measurement))
            .map_or(&[], Vec::as_slice)
    }

    /// (event time, value) in `unit`; those that cannot be converted are left out, those without a unit are
    /// taken as they come, and all are if `unit` is empty.
    pub fn values(&self, sensor: Name, measurement: Name, unit: Name) -> Vec<(i64, f64)> {
        let all = self.readings(sensor, measurement).iter();
        all.filter_map(|reading| Some((reading.time, in_unit(reading.value, reading.unit, unit)?)))
            .collect()
    }

    /// Readings that a rule in `unit` can see.
    pub fn seen(&self, sensor: Name, measurement: Name, unit: Name) -> Vec<&Filed> {
        let all = self.readings(sensor, measurement).iter();
        all.filter(|reading| in_unit(reading.value, reading.unit, unit).is_some())
            .collect()
    }

    /// The newest reading that a rule in `unit` can see, late ones apart.
    pub fn newest(&self, sensor: Name, measurement: Name, unit: Name) -> Option<(i64, f64)> {
        let seen = self.seen(sensor, measurement, unit).into_iter();
        let newest = seen.rev().find(|reading| reading.newest)?;
        Some((newest.time, in_unit(newest.value, newest.unit, unit)?))
    }

    pub fn spoke(&self, sensor: Name, measurement: Name) -> bool {
        !self.readings(sensor, measurement).is_empty()
    }

    pub fn spoke_at_all(&self, sensor: Name) -> bool {
        self.series.keys().any(|(id, _)| *id == sensor)
    }

    /// Whether the newest reading still counts at the clock.
    pub fn fresh_at_clock(&self, sensor: Name, measurement: Name, clock: i64) -> bool {
        let newest = self.readings(sensor, measurement).last();
        newest.is_some_and(|newest| clock - newest.time <= self.stale_after(sensor))
    }

    /// Files an observation; gives the values that were accepted, each with whether it is the newest of its series.
    pub fn file(&mut self, observation: &Observation, touched: &mut Touched) -> Vec<(Value, bool)> {
        self.known.entry(observation.sensor).or_insert(self.clock);
        let mut accepted = Vec::new();
        for value in &observation.values {
            if let Some(newest) = self.file_one(observation, value) {
                accepted.push((*value, newest));
                if newest {
                    touched.insert((observation.sensor, value.measurement));
                }
            }
        }
        accepted
    }

    fn file_one(&mut self, observation: &Observation, value: &Value) -> Option<bool> {
        let sensor = observation.sensor;
        let time = observation.time.millis();
        let readings = self.readings(sensor, value.measurement);
        let again = readings.iter().any(|reading| reading.time == time);
        let derived = observation.flags & flags::DERIVED != 0;
        if again || !(derived || self.profile(sensor).plausible(value.value)) {
            return None;
        }
        let newest = readings.last().is_none_or(|last| last.time < time);
        let filed = Filed {
            newest,
            time,
            arrival: observation.arrival.millis(),
            value: value.value,
            unit: value.unit,
            local: self.local(sensor, time),
        };
        let readings = self.series.entry((sensor, value.measurement)).or_default();
        readings.push(filed);
        readings.sort_by_key(|reading| reading.time);
        Some(newest)
    }

    pub fn zoned(&self, sensor: Name, time: i64) -> jiff::Zoned {
        let zone = self.registry.zones.time_zone_at(self.profile(sensor).zone);
        let zone = if zone.is_empty() { name("UTC") } else { zone };
        let zone = jiff::tz::TimeZone::get(&zone).unwrap();
        jiff::Timestamp::from_millisecond(time)
            .unwrap()
            .to_zoned(zone)
    }

    pub fn local(&self, sensor: Name, time: i64) -> (Date, i8) {
        let local = self.zoned(sensor, time);
        (local.date(), local.hour())
    }

    /// Metres between two places, on a sphere of the mean radius; `None` without both.
    pub fn distance(&self, one: Name, other: Name) -> Option<f64> {
        Some(metres(self.profile(one).place?, self.profile(other).place?))
    }
}

/// Haversine.
pub fn metres(one: (f64, f64), other: (f64, f64)) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let (cos_one, cos_other) = (one.0.to_radians().cos(), other.0.to_radians().cos());
    let chord = half(one.0, other.0) + cos_one * cos_other * half(one.1, other.1);
    2.0 * 6_371_008.8 * chord.sqrt().asin()
}

/// The value in `wanted`; `None` if it cannot be converted.
pub fn in_unit(value: f64, unit: Name, wanted: Name) -> Option<f64> {
    if unit.is_empty() || wanted.is_empty() {
        Some(value)
    } else {
        units::convert(value, unit, wanted)
    }
}
