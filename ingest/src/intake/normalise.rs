//! From what a payload said to an observation: checks names, interns them, settles the event time and sets
//! the flags. Names are never freed, so every bound is checked before a name is interned.

use std::sync::atomic::{AtomicUsize, Ordering};

use citywatch_model::{Duration, Name, Observation, Registry, Time, Value, flags, name};

use super::Door;
use super::unknown::{MAX_UNKNOWN_SENSORS, UnknownSensors};
use crate::decode::{DecodedObservation, DecodedValue};
use crate::rejected::{Reason, Rejection};

/// Longest id of a sensor in bytes.
pub const MAX_SENSOR_BYTES: usize = 128;
/// Longest name of a measurement or unit in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Measurements and units of one run that neither registry nor rules named before.
pub const MAX_NEW_NAMES: usize = 20_000;

/// How far an event time may lie ahead of the arrival (DESIGN.md §4).
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// 2000-01-01. A device that says less has not set its clock.
const CLOCK_NOT_SET_BEFORE: Time = Time::from_millis(946_684_800_000);

pub(super) struct Normaliser {
    pub(super) unknown: UnknownSensors,
    new_names: AtomicUsize,
}

/// The normaliser at work on one message.
pub(super) struct Normalising<'a> {
    normaliser: &'a Normaliser,
    registry: &'a Registry,
    door: Door,
    arrival: Time,
}

impl Normaliser {
    pub(super) fn new(unknown: UnknownSensors) -> Normaliser {
        Normaliser {
            unknown,
            new_names: AtomicUsize::new(0),
        }
    }

    pub(super) fn message<'a>(
        &'a self,
        registry: &'a Registry,
        door: Door,
        arrival: Time,
    ) -> Normalising<'a> {
        Normalising {
            normaliser: self,
            registry,
            door,
            arrival,
        }
    }

    /// Interns a measurement or unit, unless too many new ones came already.
    fn intern(&self, text: &str) -> Option<Name> {
        if let Some(known) = Name::from_existing(text) {
            return Some(known);
        }
        let count = |new: usize| (new < MAX_NEW_NAMES).then_some(new + 1);
        let counted = self
            .new_names
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.is_ok().then(|| name(text))
    }
}

impl Normalising<'_> {
    /// The observation, unless nothing of it can be taken; what cannot is added to `rejected`.
    pub(super) fn observation(
        &self,
        decoded: &DecodedObservation<'_>,
        rejected: &mut Vec<Rejection>,
    ) -> Option<Observation> {
        let index = decoded.index;
        let mut reject = |(reason, detail)| {
            rejected.push(Rejection {
                index,
                reason,
                detail,
            })
        };
        if let Err(wrong) = check_name("sensor", &decoded.sensor, MAX_SENSOR_BYTES) {
            reject(wrong);
            return None;
        }
        let mut values = smallvec::SmallVec::<[Value; 1]>::new();
        for value in &decoded.values {
            match self.value(value) {
                Ok(value) => values.push(value),
                Err(wrong) => reject(wrong),
            }
        }
        if values.is_empty() {
            return None;
        }
        let (time, mut marks) = self.event_time(decoded.time);
        let registered =
            Name::from_existing(&decoded.sensor).and_then(|id| self.registry.sensors.get(&id));
        let sensor = if let Some(sensor) = registered {
            if values.iter().any(|value| !sensor.plausible(value.value)) {
                marks |= flags::IMPLAUSIBLE;
            }
            sensor.id
        } else {
            marks |= flags::UNKNOWN_SENSOR;
            let noted = self.normaliser.unknown.note(
                &decoded.sensor,
                values.len(),
                self.door,
                self.arrival,
            );
            let Some(id) = noted else {
                reject(too_many_sensors(&decoded.sensor));
                return None;
            };
            id
        };
        Some(Observation {
            sensor,
            time,
            arrival: self.arrival,
            flags: marks,
            values,
        })
    }

    fn value(&self, decoded: &DecodedValue<'_>) -> Result<Value, (Reason, String)> {
        let intern = |what: &str, text: &str| {
            self.normaliser.intern(text).ok_or_else(|| {
                let detail = format!(
                    "{what} `{text}` is one more than the {MAX_NEW_NAMES} new names of measurements and units \
                     that are taken between two starts: send few fixed names, and changing data as values"
                );
                (Reason::TooManyNames, detail)
            })
        };
        check_name("measurement", &decoded.measurement, MAX_NAME_BYTES)?;
        if !decoded.unit.is_empty() {
            check_name("unit", &decoded.unit, MAX_NAME_BYTES)?;
        }
        Ok(Value {
            measurement: intern("measurement", &decoded.measurement)?,
            value: decoded.value,
            unit: intern("unit", &decoded.unit)?,
        })
    }

    fn event_time(&self, time: Option<Time>) -> (Time, u8) {
        match time {
            Some(time) if time > self.arrival + MAX_AHEAD => (self.arrival, flags::FUTURE),
            Some(time) if time >= CLOCK_NOT_SET_BEFORE => (time, 0),
            // a device whose clock says 1970 measures none the worse: its reading is kept as one without time
            Some(_) | None => (self.arrival, flags::NO_TIME),
        }
    }
}

fn check_name(what: &str, text: &str, most: usize) -> Result<(), (Reason, String)> {
    if text.len() > most {
        let start: String = text.chars().take(24).collect();
        let detail = format!(
            "{what} `{start}…` has {} bytes: at most {most} are taken",
            text.len()
        );
        return Err((Reason::NameTooLong, detail));
    }
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        let shown = text.escape_debug();
        let detail =
            format!("{what} `{shown}` is blank or has control characters: send a printable name");
        return Err((Reason::BadName, detail));
    }
    Ok(())
}

fn too_many_sensors(sensor: &str) -> (Reason, String) {
    let detail = format!(
        "sensor `{sensor}` is in no registry, and {MAX_UNKNOWN_SENSORS} unknown ones came since the start: \
         register it, or stop whoever makes up ids"
    );
    (Reason::TooManyUnknownSensors, detail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;

    use citywatch_model::Sensor;
    use prometheus::IntGauge;

    use super::*;

    const ARRIVAL: Time = Time::from_millis(1_790_000_000_000);

    /// Sensor, event time, and measurement, value and unit of each value.
    type Case<'a> = (&'a str, Option<i64>, &'a [(&'a str, f64, &'a str)]);

    fn normalise((sensor, time, values): Case<'_>) -> String {
        let mut registry = Registry::default();
        let known = Sensor {
            min: Some(0.0),
            max: Some(100.0),
            ..Sensor::unknown(name("known"))
        };
        registry.sensors.insert(known.id, known);
        let normaliser = Normaliser::new(UnknownSensors::new(
            IntGauge::new("unknown", "unknown").unwrap(),
        ));
        let mut rejected = Vec::new();
        let decoded = DecodedObservation {
            index: Some(3),
            sensor: Cow::Borrowed(sensor),
            time: time.map(Time::from_millis),
            values: values
                .iter()
                .map(|(measurement, value, unit)| DecodedValue {
                    measurement: Cow::Borrowed(measurement),
                    value: *value,
                    unit: Cow::Borrowed(unit),
                })
                .collect(),
        };
        let normalising = normaliser.message(&registry, Door::Http, ARRIVAL);
        let observation = normalising.observation(&decoded, &mut rejected);
        let taken = observation.map(|taken| {
            let values: Vec<_> = taken
                .values
                .iter()
                .map(|v| format!("{}={}{}", v.measurement, v.value, v.unit))
                .collect();
            format!(
                "{} {} flags {:04b} {}",
                taken.sensor,
                taken.time,
                taken.flags,
                values.join(" ")
            )
        });
        let lines = taken
            .into_iter()
            .chain(rejected.iter().map(ToString::to_string));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn times_flags_and_names() {
        let now = ARRIVAL.millis();
        let long = "x".repeat(129);
        let ch4 = [("ch4", 5.0, "%LEL")];
        let cases: [Case; 12] = [
            ("known", Some(now - 60_000), &ch4),
            ("known", None, &ch4),
            ("known", Some(now + 300_000), &ch4),
            ("known", Some(now + 300_001), &ch4),
            ("known", Some(0), &ch4),
            (
                "known",
                Some(now),
                &[("ch4", 5.0, ""), ("co", -999.0, "ppm")],
            ),
            ("new", Some(now), &[("ch4", -999.0, "")]),
            (&long, Some(now), &ch4),
            ("a\nb", Some(now), &ch4),
            (
                "known",
                Some(now),
                &[(" ", 1.0, ""), ("ch4", 2.0, ""), ("co", 3.0, &long)],
            ),
            ("known", Some(now), &[("a\u{0}", 1.0, "")]),
            ("井盖-7", Some(now), &[("甲烷", 1.0, "%LEL")]),
        ];
        let text: Vec<String> = cases.into_iter().map(normalise).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn new_names_come_to_an_end_and_old_ones_do_not() {
        let normaliser = Normaliser::new(UnknownSensors::new(
            IntGauge::new("unknown", "unknown").unwrap(),
        ));
        normaliser
            .new_names
            .store(MAX_NEW_NAMES - 1, Ordering::Relaxed);
        assert!(normaliser.intern("the last new name").is_some());
        assert!(normaliser.intern("a name too many").is_none());
        assert!(Name::from_existing("a name too many").is_none());
        assert!(normaliser.intern("the last new name").is_some());
    }
}
