//! Registered devices and the registry that holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Duration, Name};

/// A registered device: where it stands, how often it speaks, what it can plausibly say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// Unique; what payloads carry.
    pub id: Name,
    /// For people; empty if none was given.
    #[serde(default)]
    pub name: String,
    /// WGS 84 latitude and longitude in degrees.
    #[serde(default)]
    pub place: Option<(f64, f64)>,
    /// The innermost zone it stands in.
    #[serde(default)]
    pub zone: Option<Name>,
    /// Further properties that rules select by (`where:`); `sensor` and `zone` are implied, never here.
    #[serde(default)]
    pub tags: BTreeMap<Name, Name>,
    /// What it measures; empty if the registry does not say.
    #[serde(default)]
    pub measurements: Vec<Name>,
    /// Usual time between two readings.
    #[serde(default)]
    pub interval: Option<Duration>,
    /// Usual time between two readings while an alert of the sensor is open, if it reports faster then.
    #[serde(default)]
    pub interval_alarm: Option<Duration>,
    /// After this long without a reading its newest value counts as unknown.
    #[serde(default)]
    pub stale_after: Option<Duration>,
    /// Least plausible value, in the unit of its payloads. A value outside the range is kept and flagged,
    /// but no rule sees it and it does not end a silence.
    #[serde(default)]
    pub min: Option<f64>,
    /// Greatest plausible value.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Sensor {
    /// A device of which nothing but its id is known.
    #[must_use]
    pub fn unknown(id: Name) -> Sensor {
        Sensor {
            id,
            name: String::new(),
            place: None,
            zone: None,
            tags: BTreeMap::new(),
            measurements: Vec::new(),
            interval: None,
            interval_alarm: None,
            stale_after: None,
            min: None,
            max: None,
        }
    }

    /// How long its newest value counts: `stale_after`, else four times `interval`, else 24 h.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.stale_after
            .or_else(|| self.interval.map(|interval| interval.times(4)))
            .unwrap_or(Duration::from_secs(86_400))
    }

    /// Whether `value` lies in the plausible range.
    #[must_use]
    pub fn plausible(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// How zones nest and what time it is in them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Zones {
    /// Zone to the zone that contains it; a top zone is absent.
    pub parents: BTreeMap<Name, Name>,
    /// Zone to its IANA time zone, such as `Asia/Shanghai`; one without takes that of the zone around it.
    pub time_zones: BTreeMap<Name, Name>,
    /// The time zone where no zone says; empty means UTC.
    pub time_zone: Name,
}

impl Zones {
    /// The zone and all that contain it, innermost first. A cycle ends the walk.
    pub fn around(&self, zone: Name) -> impl Iterator<Item = Name> {
        let limit = self.parents.len() + 1;
        std::iter::successors(Some(zone), |inner| self.parents.get(inner).copied()).take(limit)
    }

    /// The IANA time zone of something that stands in `zone`; empty means UTC.
    #[must_use]
    pub fn time_zone_at(&self, zone: Option<Name>) -> Name {
        zone.and_then(|zone| {
            self.around(zone)
                .find_map(|zone| self.time_zones.get(&zone).copied())
        })
        .unwrap_or(self.time_zone)
    }
}

/// All registered sensors by id, in the order of their ids, and the zones that they stand in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Registry {
    /// Sensors by id.
    pub sensors: BTreeMap<Name, Sensor>,
    /// Zones.
    pub zones: Zones,
}

impl Registry {
    /// What must change to make `self` into `newer`; `None` if nothing.
    #[must_use]
    pub fn change_to(&self, newer: &Registry) -> Option<RegistryChange> {
        let change = RegistryChange {
            upsert: newer
                .sensors
                .values()
                .filter(|sensor| self.sensors.get(&sensor.id) != Some(*sensor))
                .cloned()
                .collect(),
            remove: self
                .sensors
                .keys()
                .filter(|id| !newer.sensors.contains_key(id))
                .copied()
                .collect(),
            zones: (self.zones != newer.zones).then(|| newer.zones.clone()),
        };
        let empty = change.upsert.is_empty() && change.remove.is_empty() && change.zones.is_none();
        (!empty).then_some(change)
    }

    /// Carries out `change`.
    pub fn apply(&mut self, change: &RegistryChange) {
        for id in &change.remove {
            self.sensors.remove(id);
        }
        for sensor in &change.upsert {
            self.sensors.insert(sensor.id, sensor.clone());
        }
        if let Some(zones) = &change.zones {
            self.zones.clone_from(zones);
        }
    }
}

/// A difference between two registries, as it is journalled.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RegistryChange {
    /// Sensors that are new or differ.
    pub upsert: Vec<Sensor>,
    /// Sensors that are gone.
    pub remove: Vec<Name>,
    /// The new zones, if they changed.
    pub zones: Option<Zones>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name;

    #[test]
    fn a_change_leads_from_one_registry_to_the_other() {
        let sensor = |id: &str, label: &str| Sensor {
            name: label.to_owned(),
            ..Sensor::unknown(name(id))
        };
        let registry = |sensors: Vec<Sensor>| Registry {
            sensors: sensors.into_iter().map(|s| (s.id, s)).collect(),
            ..Registry::default()
        };
        let mut old = registry(vec![sensor("a", "1"), sensor("b", "1")]);
        let mut new = registry(vec![sensor("b", "2"), sensor("c", "1")]);
        new.zones.parents.insert(name("street"), name("district"));
        let change = old.change_to(&new).unwrap();
        old.apply(&change);
        assert_eq!(old, new);
        assert_eq!(old.change_to(&new), None);
    }

    #[test]
    fn zones_nest_and_a_cycle_ends() {
        let mut zones = Zones::default();
        zones.parents.insert(name("cell"), name("street"));
        zones.parents.insert(name("street"), name("cell"));
        assert_eq!(zones.around(name("cell")).count(), 3);
    }

    #[test]
    fn a_zone_takes_the_time_of_the_zone_around_it() {
        let mut zones = Zones::default();
        zones.parents.insert(name("cell"), name("street"));
        zones
            .time_zones
            .insert(name("street"), name("Asia/Shanghai"));
        let at = |zone: Option<&str>| zones.time_zone_at(zone.map(name));
        assert_eq!(at(Some("cell")), "Asia/Shanghai");
        assert_eq!((at(Some("elsewhere")), at(None)), (name(""), name("")));
    }
}
