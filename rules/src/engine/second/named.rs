//! A series over named sensors: one value for each event time, or bucket of time, for which every input has
//! spoken. Inputs need not come in order of time, nor in the same order as each other.

use std::collections::BTreeMap;

use citywatch_model::{Duration, Name, Observation, Time};

use super::derive::Making;
use crate::ast::{Expression, Method};
use crate::engine::counts::UnitError;
use crate::engine::remote::converted;
use crate::engine::snapshot::codec::kept;
use crate::engine::terms::calculate;

/// Buckets that wait for an input; the oldest goes first.
pub(super) const WAITING: usize = 1_000;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Bucket to the newest reading of each input in it: event time and value.
    buckets: BTreeMap<i64, Vec<Option<(Time, f64)>>>,
    emitted: Option<i64>,
}

kept!(Named { buckets, emitted });

/// Beginning of the bucket that `time` lies in; every time is its own where there is no `align`.
pub(super) fn bucket(time: Time, align: Option<Duration>) -> i64 {
    let span = align.map_or(1, Duration::millis).max(1);
    time.millis().div_euclid(span) * span
}

impl Named {
    /// Whether it waits for so many inputs, and not for more than it may.
    pub(super) fn fits(&self, inputs: usize) -> bool {
        let waiting = self.buckets.values();
        self.buckets.len() <= WAITING && waiting.into_iter().all(|held| held.len() == inputs)
    }

    pub(super) fn make(&mut self, making: &mut Making<'_>) -> Vec<Observation> {
        let Method::Named {
            value,
            inputs,
            align,
        } = &making.derive.method
        else {
            return Vec::new();
        };
        let mut made = Vec::new();
        for (place, time, number, reading) in arrivals(making, inputs) {
            let bucket = bucket(time, *align);
            if self.emitted.is_some_and(|emitted| bucket <= emitted) {
                continue;
            }
            let held = self
                .buckets
                .entry(bucket)
                .or_insert_with(|| vec![None; inputs.len()]);
            if held[number].is_none_or(|(newest, _)| time > newest) {
                held[number] = Some((time, reading));
            }
            // an observation brings all of its inputs before the bucket is judged
            made.push((place, bucket));
        }
        made.dedup();
        let made = made
            .into_iter()
            .filter_map(|(_, bucket)| self.emit(making, bucket, value, inputs));
        let made = made.collect();
        while self.buckets.len() > WAITING {
            self.buckets.pop_first();
        }
        made
    }

    fn emit(
        &mut self,
        making: &Making<'_>,
        bucket: i64,
        value: &Expression,
        inputs: &[(Name, Name)],
    ) -> Option<Observation> {
        let values: Option<Vec<f64>> = self
            .buckets
            .get(&bucket)?
            .iter()
            .map(|held| held.map(|(_, value)| value))
            .collect();
        let values = values?;
        self.emitted = Some(bucket);
        self.buckets = self.buckets.split_off(&(bucket + 1));
        let value = evaluated(value, inputs, &values)?;
        Some(making.made(making.derive.id, Time::from_millis(bucket), value))
    }
}

/// Plausible readings of the inputs among what was filed: number of the observation, event time, number of the
/// input, value.
fn arrivals(making: &mut Making<'_>, inputs: &[(Name, Name)]) -> Vec<(usize, Time, usize, f64)> {
    let mut arrivals = Vec::new();
    let derive = making.derive;
    for (place, filed) in making.filed.iter().enumerate() {
        let observation = &filed.observation;
        let limits = making.core.sensors[filed.place as usize].profile.limits;
        for (number, (sensor, measurement)) in inputs.iter().enumerate() {
            let value = (observation.sensor == *sensor)
                .then(|| {
                    let mut values = observation.values.iter();
                    values.find(|value| value.measurement == *measurement)
                })
                .flatten()
                .filter(|value| limits.plausible(value.value, observation.flags));
            let Some(value) = value else { continue };
            let wanted = if *measurement == derive.measurement {
                derive.unit
            } else {
                Name::default()
            };
            match converted(value.value, value.unit, wanted) {
                Some(converted) => arrivals.push((place, observation.time, number, converted)),
                None => making.core.tally.unit_error(&UnitError {
                    rule: derive.id,
                    sensor: *sensor,
                    measurement: *measurement,
                    unit: value.unit,
                    wanted,
                    times: 1,
                    time: observation.time,
                    position: making.core.position,
                }),
            }
        }
    }
    arrivals
}

fn evaluated(expression: &Expression, inputs: &[(Name, Name)], values: &[f64]) -> Option<f64> {
    let value = |inner: &Expression| evaluated(inner, inputs, values);
    match expression {
        Expression::Number(number) => Some(*number),
        Expression::Remote(sensor, measurement) => inputs
            .iter()
            .position(|input| *input == (*sensor, *measurement))
            .map(|number| values[number]),
        Expression::Negate(inner) => value(inner).map(|value| -value),
        Expression::Arithmetic(left, operator, right) => {
            calculate(value(left)?, *operator, value(right)?)
        }
        // the language lets only sensors and numbers stand here
        Expression::Newest(_)
        | Expression::Window { .. }
        | Expression::Baseline { .. }
        | Expression::Group(_)
        | Expression::Age
        | Expression::Interval => None,
    }
}
