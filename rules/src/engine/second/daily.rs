//! A series with one value a day, over the readings between two hours of local time. It is made by the clock:
//! when it passes the end of the span, before the first record that is later.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Name, Observation, Time};

use super::derive::Making;
use crate::ast::Method;
use crate::engine::around::aggregated;
use crate::engine::local::LocalTime;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer};

const MINUTE_MS: i64 = 60_000;

/// Readings that wait for the end of their span.
#[derive(Debug, Default)]
pub(super) struct Daily {
    /// By sensor and end of the span: event time in milliseconds and value, in order of time.
    waiting: BTreeMap<(Time, Name), Vec<(i64, f64)>>,
    /// By name of the time zone.
    clocks: BTreeMap<Name, LocalTime>,
}

impl Kept for Daily {
    fn write(&self, to: &mut Writer) {
        self.waiting.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Daily, Damaged> {
        Ok(Daily {
            waiting: Kept::read(from)?,
            clocks: BTreeMap::new(),
        })
    }
}

/// The clock on the wall in `zone`.
pub(super) fn clock_in(clocks: &mut BTreeMap<Name, LocalTime>, zone: Name) -> &mut LocalTime {
    clocks.entry(zone).or_insert_with(|| LocalTime::new(zone))
}

/// Adds a reading in order of time, unless there is one of this time already.
pub(super) fn file(readings: &mut Vec<(i64, f64)>, time: Time, value: f64) {
    let time = time.millis();
    let place = readings.partition_point(|(held, _)| *held < time);
    if readings.get(place).is_none_or(|(held, _)| *held != time) {
        readings.insert(place, (time, value));
    }
}

impl Daily {
    pub(super) fn make(&mut self, making: &mut Making<'_>) -> Vec<Observation> {
        let Method::Daily {
            aggregate,
            from,
            to,
            ..
        } = making.derive.method
        else {
            return Vec::new();
        };
        for (place, time, value) in making.readings(0) {
            let (sensor, zone) = making.whereabouts(place);
            let local = clock_in(&mut self.clocks, zone);
            let (date, since_midnight) = local.date_and_time(time.millis());
            let minute = since_midnight / MINUTE_MS;
            if minute < i64::from(from) || minute >= i64::from(to) {
                continue;
            }
            let end = local.instant(date, to);
            if end >= making.core.clock {
                file(self.waiting.entry((end, sensor)).or_default(), time, value);
            }
        }
        let Some(moment) = making.moment else {
            return Vec::new();
        };
        let mut made = Vec::new();
        let due: BTreeSet<Name> = self
            .waiting
            .keys()
            .take_while(|(end, _)| *end <= moment)
            .map(|(_, sensor)| *sensor)
            .collect();
        for sensor in due {
            let readings = self.waiting.remove(&(moment, sensor)).unwrap_or_default();
            let values = readings.into_iter().map(|(_, value)| value);
            let value = aggregated(aggregate, values);
            made.extend(value.map(|value| making.made(sensor, moment, value)));
        }
        made
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.waiting.keys().next().map(|(end, _)| *end)
    }

    /// Keeps only the sensors that `wanted` says.
    pub(super) fn retain(&mut self, wanted: impl Fn(Name) -> bool) {
        self.waiting.retain(|(_, sensor), _| wanted(*sensor));
    }
}
