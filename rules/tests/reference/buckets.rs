//! Series over several sensors: one value per event time or bucket, once all have one for it.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Name, Observation};
use citywatch_rules::ast::{Aggregate, Derive, Expression, Method};

use crate::derive::{Brought, State, observation};
use crate::groups::aggregated;
use crate::world::{World, in_unit};

fn bucket(time: i64, align: Option<citywatch_model::Duration>) -> i64 {
    align.map_or(time, |align| {
        time.div_euclid(align.millis()) * align.millis()
    })
}

/// The newest value that was contributed to a bucket under `key`.
fn in_bucket<V: Copy>(
    heard: &[((Name, Name), i64, V)],
    key: (Name, Name),
    align: Option<citywatch_model::Duration>,
    at: i64,
) -> Option<V> {
    let heard = heard
        .iter()
        .filter(|(one, time, _)| *one == key && bucket(*time, align) == at);
    heard
        .max_by_key(|(_, time, _)| *time)
        .map(|(_, _, value)| *value)
}

/// Over measurements of one sensor, or of named ones: once every input has a value for a bucket.
pub fn joined(
    world: &World,
    derive: &Derive,
    state: &mut State,
    brought: &Brought,
) -> Vec<Observation> {
    let (value, align) = match &derive.method {
        Method::Each { value, align, .. } | Method::Named { value, align, .. } => (value, *align),
        _ => return Vec::new(),
    };
    // where the series is made, and the inputs there
    let inputs = |sensor: Name| match &derive.method {
        Method::Each { inputs, .. } => {
            let here = world.selected(&derive.selector, sensor);
            let inputs = inputs.iter().map(|input| (sensor, *input));
            (sensor, inputs.filter(|_| here).collect())
        }
        Method::Named { inputs, .. } => (derive.id, inputs.clone()),
        _ => (sensor, Vec::new()),
    };
    let mut buckets = Vec::new();
    for (observation, values) in brought {
        let (subject, inputs) = inputs(observation.sensor);
        for (one, _) in values {
            let series = (observation.sensor, one.measurement);
            if inputs.contains(&series) {
                let time = observation.time.millis();
                let at = bucket(time, align);
                if state
                    .emitted
                    .get(&subject)
                    .is_some_and(|emitted| at <= *emitted)
                {
                    continue;
                }
                state.heard.push((series, time, (one.value, one.unit)));
                state.waiting.entry(subject).or_default().insert(at);
                let found = (subject, at, inputs.clone());
                if !buckets.contains(&found) {
                    buckets.push(found);
                }
            }
        }
    }
    let mut made = Vec::new();
    for (subject, at, inputs) in buckets {
        let later = state
            .emitted
            .get(&subject)
            .is_none_or(|emitted| *emitted < at);
        let values: Option<BTreeMap<(Name, Name), (f64, Name)>> = inputs
            .iter()
            .map(|series| Some((*series, in_bucket(&state.heard, *series, align, at)?)))
            .collect();
        if let (true, Some(values)) = (later, values) {
            state.emitted.insert(subject, at);
            let sum = Sum {
                derive,
                subject,
                values,
            };
            let number = sum.number(value, derive.unit);
            let number = number.filter(|number| number.is_finite());
            made.extend(observation(world, derive, subject, at, number));
        }
        let most = match derive.method {
            Method::Each { .. } => 16,
            _ => 1_000,
        };
        give_up(state, (subject, &inputs), align, most);
    }
    made
}

/// Of more buckets than may wait for an input the oldest are forgotten, and all before one that was emitted.
fn give_up(
    state: &mut State,
    (subject, inputs): (Name, &[(Name, Name)]),
    align: Option<citywatch_model::Duration>,
    most: usize,
) {
    let emitted = state.emitted.get(&subject).copied().unwrap_or(i64::MIN);
    let waiting = state.waiting.entry(subject).or_default();
    waiting.retain(|at| *at > emitted);
    while waiting.len() > most {
        let gone = waiting.pop_first();
        let stays = |time: i64| Some(bucket(time, align)) != gone;
        (state.heard).retain(|(series, time, _)| !inputs.contains(series) || stays(*time));
    }
}

struct Sum<'a> {
    derive: &'a Derive,
    subject: Name,
    values: BTreeMap<(Name, Name), (f64, Name)>,
}

impl Sum<'_> {
    /// What is added comes in the unit of the series, under a factor too if something of it measures the same; else in
    /// that of the first that has one.
    fn number(&self, expression: &Expression, unit: Name) -> Option<f64> {
        use citywatch_rules::ast::Arithmetic::{Add, Divide, Multiply, Subtract};
        let nothing = citywatch_model::name("");
        match expression {
            Expression::Number(number) => Some(*number),
            Expression::Negate(inner) => self.number(inner, unit).map(|number| -number),
            Expression::Arithmetic(left, operator, right) => {
                let unit = match operator {
                    Multiply | Divide => nothing,
                    Add | Subtract if unit == nothing => {
                        let units = self.units(expression);
                        let own = |(measurement, _): &(Name, Name)| {
                            *measurement == self.derive.measurement
                        };
                        if self.derive.unit != nothing && units.iter().any(own) {
                            self.derive.unit
                        } else {
                            let mut units = units.into_iter().map(|(_, unit)| unit);
                            units.find(|unit| *unit != nothing).unwrap_or(nothing)
                        }
                    }
                    Add | Subtract => unit,
                };
                let (left, right) = (self.number(left, unit)?, self.number(right, unit)?);
                let number = match operator {
                    Add => left + right,
                    Subtract => left - right,
                    Multiply => left * right,
                    Divide => left / right,
                };
                number.is_finite().then_some(number)
            }
            Expression::Remote(_, measurement) | Expression::Newest(measurement) => {
                let (value, sent) = self.leaf(expression)?;
                let same = unit == nothing && *measurement == self.derive.measurement;
                in_unit(value, sent, if same { self.derive.unit } else { unit })
            }
            other => panic!("{other:?} in a series over named sensors"),
        }
    }

    fn leaf(&self, expression: &Expression) -> Option<(f64, Name)> {
        match expression {
            Expression::Remote(sensor, measurement) => {
                self.values.get(&(*sensor, *measurement)).copied()
            }
            Expression::Newest(measurement) => {
                self.values.get(&(self.subject, *measurement)).copied()
            }
            _ => None,
        }
    }

    /// Measurements and units of what is added, in order.
    fn units(&self, expression: &Expression) -> Vec<(Name, Name)> {
        use citywatch_rules::ast::Arithmetic::{Add, Subtract};
        match expression {
            Expression::Negate(inner) => self.units(inner),
            Expression::Arithmetic(left, Add | Subtract, right) => {
                [self.units(left), self.units(right)].concat()
            }
            Expression::Remote(_, measurement) | Expression::Newest(measurement) => {
                let unit = self.leaf(expression).map(|(_, unit)| unit);
                unit.map(|unit| (*measurement, unit)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Over the selected sensors of each zone: once all that are not stale have a value for a bucket.
pub fn zones(
    world: &World,
    derive: &Derive,
    state: &mut State,
    brought: &Brought,
) -> Vec<Observation> {
    let Method::Zones {
        aggregate,
        of,
        align,
    } = &derive.method
    else {
        return Vec::new();
    };
    let mut looks = BTreeSet::new();
    for (observation, values) in brought {
        let sensor = observation.sensor;
        let value = values.iter().find(|(value, _)| value.measurement == *of);
        let number = value.and_then(|(value, _)| in_unit(value.value, value.unit, derive.unit));
        if let (Some(number), true) = (number, world.selected(&derive.selector, sensor)) {
            let time = observation.time.millis();
            if let Some(own) = world.profile(sensor).zone {
                for zone in world.registry.zones.around(own) {
                    state.zoned.push(((sensor, zone), time, number));
                    looks.insert((bucket(time, *align), zone));
                }
            }
        }
    }
    let mut made = Vec::new();
    for (at, zone) in looks {
        let later = state.emitted.get(&zone).is_none_or(|emitted| *emitted < at);
        if let (true, Some(values)) = (later, complete(world, derive, state, zone, at)) {
            state.emitted.insert(zone, at);
            let aggregate: Aggregate = *aggregate;
            made.extend(observation(
                world,
                derive,
                zone,
                at,
                aggregated(aggregate, &values),
            ));
        }
    }
    made
}

/// The values of a bucket, if every member that is not stale has one.
fn complete(
    world: &World,
    derive: &Derive,
    state: &State,
    zone: Name,
    at: i64,
) -> Option<Vec<f64>> {
    let Method::Zones { of, align, .. } = derive.method else {
        return None;
    };
    let mut values = Vec::new();
    for sensor in world.known.keys().copied() {
        let stands = world
            .profile(sensor)
            .zone
            .is_some_and(|inner| world.inside(inner, zone));
        if !stands || !world.selected(&derive.selector, sensor) {
            continue;
        }
        // a sensor that came into the zone meanwhile counts with its newest reading
        let newest = world.newest(sensor, of, derive.unit);
        let inside = newest.filter(|(time, _)| bucket(*time, align) == at);
        let value = in_bucket(&state.zoned, (sensor, zone), align, at);
        match inside.map(|(_, value)| value).or(value) {
            Some(value) => values.push(value),
            None if newest.is_some_and(|(time, _)| is_fresh(world, sensor, time)) => return None,
            None => {}
        }
    }
    Some(values)
}

fn is_fresh(world: &World, sensor: Name, time: i64) -> bool {
    world.clock - time <= world.stale_after(sensor)
}
