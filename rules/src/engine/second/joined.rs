//! A series whose inputs wait for each other: one value for each event time, or bucket of time, for which every
//! input has spoken. The inputs are measurements of one sensor, at each of which it is made, or those of named
//! sensors. They need not come in order of time, nor in the same order as each other.

use std::collections::BTreeMap;

use citywatch_model::{Duration, Name, Observation, Time};

use super::derive::{Making, bound_place};
use crate::ast::{Arithmetic, Expression};
use crate::engine::counts::{Incomplete, UnitError};
use crate::engine::remote::converted;
use crate::engine::snapshot::codec::kept;
use crate::engine::terms::calculate;

/// Buckets that wait for an input of a series that is made at one place; the oldest goes first.
pub(super) const WAITING: usize = 1_000;
/// The same at each of perhaps many sensors, whose inputs come from one device and close together: where they never
/// meet, 100,000 sensors hold some 200 MB.
const WAITING_AT_EACH: usize = 16;

/// Event time, value and unit.
type Reading = (Time, (f64, Name));

/// An input: at a named sensor, or at that at which the series is made.
pub(super) type Input = (Option<Name>, Name);

/// What has come so far at one sensor.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Bucket to the newest reading of each input in it.
    buckets: BTreeMap<i64, Vec<Option<Reading>>>,
    emitted: Option<i64>,
}

kept!(Joined { buckets, emitted });

/// Beginning of the bucket that `time` lies in; every time is its own where there is no `align`.
pub(super) fn bucket(time: Time, align: Option<Duration>) -> i64 {
    let span = align.map_or(1, Duration::millis).max(1);
    time.millis().div_euclid(span) * span
}

fn most(inputs: &[Input]) -> usize {
    let named = inputs.iter().any(|(sensor, _)| sensor.is_some());
    if named { WAITING } else { WAITING_AT_EACH }
}

impl Joined {
    /// Whether it waits for these inputs, and not for more than it may.
    pub(super) fn fits(&self, inputs: &[Input]) -> bool {
        let mut waiting = self.buckets.values();
        self.buckets.len() <= most(inputs) && waiting.all(|held| held.len() == inputs.len())
    }

    /// Takes a reading of input `number`, unless its bucket is past.
    fn take(&mut self, inputs: &[Input], number: usize, bucket: i64, reading: Reading) -> bool {
        if self.emitted.is_some_and(|emitted| bucket <= emitted) {
            return false;
        }
        let held = self.buckets.entry(bucket);
        let held = held.or_insert_with(|| vec![None; inputs.len()]);
        if held[number].is_none_or(|(newest, _)| reading.0 > newest) {
            held[number] = Some(reading);
        }
        true
    }

    /// The readings of a bucket if there is one of each input; no older bucket comes after it.
    fn complete(&mut self, bucket: i64) -> Option<Vec<Reading>> {
        let readings = self.buckets.get(&bucket)?.iter().copied();
        let readings: Vec<Reading> = readings.collect::<Option<_>>()?;
        self.emitted = Some(bucket);
        self.buckets = self.buckets.split_off(&(bucket + 1));
        Some(readings)
    }
}

/// What is made of `value` now; `held` is what waits, by the sensor at which it is made.
pub(super) fn make(
    held: &mut BTreeMap<Name, Joined>,
    making: &mut Making<'_>,
    inputs: &[Input],
    (value, align): (&Expression, Option<Duration>),
) -> Vec<Observation> {
    let mut touched = Vec::new();
    for (place, subject, number, reading) in arrivals(making, inputs) {
        let bucket = bucket(reading.0, align);
        let joined = held.entry(subject).or_default();
        if joined.take(inputs, number, bucket, reading) {
            // an observation brings all of its inputs before the bucket is judged
            touched.push((place, subject, bucket));
        }
    }
    touched.dedup();
    let mut made = Vec::new();
    for (place, subject, bucket) in touched {
        let Some(joined) = held.get_mut(&subject) else {
            continue;
        };
        if let Some(readings) = joined.complete(bucket) {
            let inputs = Inputs {
                inputs,
                readings: &readings,
                series: (making.derive.measurement, making.derive.unit),
            };
            match inputs.evaluated(value, making.derive.unit) {
                Ok(Some(value)) => {
                    made.push(making.made(subject, Time::from_millis(bucket), value))
                }
                Ok(None) => {}
                Err((number, wanted)) => {
                    inputs.tell(making, subject, number, wanted);
                }
            }
        }
        while joined.buckets.len() > most(inputs) {
            if let Some((bucket, held)) = joined.buckets.pop_first() {
                tell_incomplete(making, inputs, (place, subject), (bucket, &held));
            }
        }
    }
    made
}

/// Counts a bucket that is given up, by the first input that it lacks. A sensor that never speaks one of its own inputs
/// is none at which the series is made, so there is nothing to tell.
fn tell_incomplete(
    making: &mut Making<'_>,
    inputs: &[Input],
    (place, subject): (usize, Name),
    (bucket, held): (i64, &[Option<Reading>]),
) {
    let core = &mut *making.core;
    let sensor = &core.sensors[making.filed[place].place as usize];
    let silent =
        |(named, measurement): &Input| named.is_none() && sensor.track(*measurement).is_none();
    let lacking = held.iter().position(Option::is_none);
    let (Some(number), false) = (lacking, inputs.iter().any(silent)) else {
        return;
    };
    let (named, measurement) = inputs[number];
    core.tally.incomplete(&Incomplete {
        series: making.derive.id,
        sensor: named.unwrap_or(subject),
        measurement,
        times: 1,
        time: Time::from_millis(bucket),
        position: core.position,
    });
}

/// Plausible readings of the inputs among what was filed: number of the observation, sensor at which the series is
/// made, number of the input, reading.
fn arrivals(making: &Making<'_>, inputs: &[Input]) -> Vec<(usize, Name, usize, Reading)> {
    let mut arrivals = Vec::new();
    for (place, filed) in making.filed.iter().enumerate() {
        let observation = &filed.observation;
        let limits = making.core.sensors[filed.place as usize].profile.limits;
        for (number, (named, measurement)) in inputs.iter().enumerate() {
            let subject = match named {
                Some(sensor) if *sensor == observation.sensor => making.derive.id,
                None if bound_place(making.core, filed.place, making.slot).is_some() => {
                    observation.sensor
                }
                _ => continue,
            };
            let mut values = observation.values.iter();
            let value = values
                .find(|value| value.measurement == *measurement)
                .filter(|value| limits.plausible(value.value, observation.flags));
            if let Some(value) = value {
                let reading = (observation.time, (value.value, value.unit));
                arrivals.push((place, subject, number, reading));
            }
        }
    }
    arrivals
}

/// One reading of each input.
struct Inputs<'a> {
    inputs: &'a [Input],
    readings: &'a [Reading],
    /// Measurement and unit of the series.
    series: (Name, Name),
}

impl Inputs<'_> {
    /// What `expression` comes to: `None` where it is no number, such as a division by zero. What is added or
    /// subtracted comes in one unit: that of the series where nothing else is done or the sum has an input that measures
    /// what the series does, else that of the first input. A factor comes as it is. Else the number of the input that
    /// does not convert, and the unit that it should have.
    fn evaluated(
        &self,
        expression: &Expression,
        wanted: Name,
    ) -> Result<Option<f64>, (usize, Name)> {
        match expression {
            Expression::Number(number) => Ok(Some(*number)),
            Expression::Negate(inner) => Ok(self.evaluated(inner, wanted)?.map(|value| -value)),
            Expression::Arithmetic(left, operator, right) => {
                let wanted = match operator {
                    Arithmetic::Add | Arithmetic::Subtract if wanted.is_empty() => {
                        self.unit_of_sum(expression)
                    }
                    Arithmetic::Add | Arithmetic::Subtract => wanted,
                    Arithmetic::Multiply | Arithmetic::Divide => Name::default(),
                };
                let sides = (
                    self.evaluated(left, wanted)?,
                    self.evaluated(right, wanted)?,
                );
                Ok(match sides {
                    (Some(left), Some(right)) => calculate(left, *operator, right),
                    _ => None,
                })
            }
            leaf => {
                let Some(number) = self.number(leaf) else {
                    return Ok(None);
                };
                let (_, measurement) = self.inputs[number];
                let wanted = match self.series {
                    (same, unit) if wanted.is_empty() && same == measurement => unit,
                    _ => wanted,
                };
                let (_, (value, unit)) = self.readings[number];
                let converted = converted(value, unit, wanted);
                converted.map(Some).ok_or((number, wanted))
            }
        }
    }

    /// The unit that a sum under a factor comes in.
    fn unit_of_sum(&self, sum: &Expression) -> Name {
        let numbers = sum.addends().into_iter();
        let numbers: Vec<usize> = numbers.filter_map(|leaf| self.number(leaf)).collect();
        let (own, unit) = self.series;
        if !unit.is_empty() && numbers.iter().any(|number| self.inputs[*number].1 == own) {
            return unit;
        }
        let mut units = numbers.iter().map(|number| self.readings[*number].1.1);
        units.find(|unit| !unit.is_empty()).unwrap_or_default()
    }

    /// Which input a leaf of the expression is.
    fn number(&self, leaf: &Expression) -> Option<usize> {
        let wanted = match leaf {
            Expression::Remote(sensor, measurement) => (Some(*sensor), *measurement),
            Expression::Newest(measurement) => (None, *measurement),
            _ => return None,
        };
        self.inputs.iter().position(|input| *input == wanted)
    }

    fn tell(&self, making: &mut Making<'_>, subject: Name, number: usize, wanted: Name) {
        let (sensor, measurement) = self.inputs[number];
        let (time, (_, unit)) = self.readings[number];
        making.core.tally.unit_error(&UnitError {
            rule: making.derive.id,
            sensor: sensor.unwrap_or(subject),
            measurement,
            unit,
            wanted,
            times: 1,
            time,
            position: making.core.position,
        });
    }
}
