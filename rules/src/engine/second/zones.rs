//! A series for each zone, over the sensors in it: one value for each event time, or bucket of time, for which
//! every sensor has spoken that speaks at all. A sensor that came into the zone meanwhile counts with its newest
//! reading, if that lies in the bucket.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Duration, Name, Observation, Time};

use super::derive::Making;
use super::joined::{WAITING, bucket};
use crate::ast::Method;
use crate::engine::around::aggregated;
use crate::engine::ground::Land;
use crate::engine::snapshot::codec::kept;

/// What has come so far, by zone.
#[derive(Debug, Default)]
pub(super) struct Zones {
    zones: BTreeMap<Name, Zone>,
}

kept!(Zones { zones });

#[derive(Debug, Default)]
struct Zone {
    /// Bucket to the newest reading of each sensor in it: event time and value.
    buckets: BTreeMap<i64, BTreeMap<Name, (Time, f64)>>,
    emitted: Option<i64>,
}

kept!(Zone { buckets, emitted });

impl Zones {
    pub(super) fn make(&mut self, making: &mut Making<'_>) -> Vec<Observation> {
        let Method::Zones {
            aggregate, align, ..
        } = making.derive.method
        else {
            return Vec::new();
        };
        let mut touched = BTreeSet::new();
        for (place, time, value) in making.readings(0) {
            let sensor = &making.core.sensors[place as usize];
            let Some(own) = sensor.profile.details.zone else {
                continue;
            };
            let bucket = bucket(time, align);
            for around in making.core.zones.around(own) {
                let zone = self.zones.entry(around).or_default();
                if zone.take(bucket, sensor.id, (time, value)) {
                    touched.insert((around, bucket));
                }
            }
        }
        let mut made = Vec::new();
        for (name, bucket) in touched {
            let Some(zone) = self.zones.get_mut(&name) else {
                continue;
            };
            if let Some(values) = zone.complete(making, name, bucket, align) {
                zone.emitted = Some(bucket);
                zone.buckets = zone.buckets.split_off(&(bucket + 1));
                let value = aggregated(aggregate, values.into_iter());
                let time = Time::from_millis(bucket);
                made.extend(value.map(|value| making.made(name, time, value)));
            }
        }
        made
    }
}

impl Zone {
    /// Files a reading; whether its bucket can still be emitted.
    fn take(&mut self, bucket: i64, sensor: Name, (time, value): (Time, f64)) -> bool {
        if self.emitted.is_some_and(|emitted| bucket <= emitted) {
            return false;
        }
        let held = self.buckets.entry(bucket).or_default();
        let newest = held.entry(sensor).or_insert((time, value));
        if time > newest.0 {
            *newest = (time, value);
        }
        while self.buckets.len() > WAITING {
            self.buckets.pop_first();
        }
        true
    }

    /// The values in the bucket that begins `at`, if none is missing.
    fn complete(
        &self,
        making: &mut Making<'_>,
        name: Name,
        at: i64,
        align: Option<Duration>,
    ) -> Option<Vec<f64>> {
        let held = self.buckets.get(&at)?;
        let core = &mut *making.core;
        let land = Land {
            sensors: &core.sensors,
            zones: &core.zones,
        };
        let members = core.ground.inside(making.slot, name, land);
        let mut values = Vec::with_capacity(members.len());
        for place in members {
            let sensor = &core.sensors[*place as usize];
            let Some(bound) = sensor.bound(making.slot) else {
                continue;
            };
            let newest = bound
                .own(&sensor.series)
                .and_then(|series| Some((series.newest?, series.value)));
            match (held.get(&sensor.id), newest) {
                (_, Some((time, value))) if bucket(time, align) == at => values.push(value),
                (Some((_, value)), _) => values.push(*value),
                (None, Some((time, _)))
                    if core.clock.since(time).millis() <= sensor.profile.limits.stale_ms =>
                {
                    return None;
                }
                (None, _) => {}
            }
        }
        Some(values).filter(|values| !values.is_empty())
    }
}
