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
fn in_bucket(
    heard: &[((Name, Name), i64, f64)],
    key: (Name, Name),
    align: Option<citywatch_model::Duration>,
    at: i64,
) -> Option<f64> {
    let heard = heard
        .iter()
        .filter(|(one, time, _)| *one == key && bucket(*time, align) == at);
    heard
        .max_by_key(|(_, time, _)| *time)
        .map(|(_, _, value)| *value)
}

/// Over named sensors: once every input has a value for a bucket.
pub fn named(
    world: &World,
    derive: &Derive,
    state: &mut State,
    brought: &Brought,
) -> Vec<Observation> {
    let Method::Named {
        value,
        inputs,
        align,
    } = &derive.method
    else {
        return Vec::new();
    };
    let mut buckets = BTreeSet::new();
    for (observation, values) in brought {
        for (one, _) in values {
            let series = (observation.sensor, one.measurement);
            let unit = if one.measurement == derive.measurement {
                derive.unit
            } else {
                citywatch_model::name("")
            };
            if let (true, Some(number)) =
                (inputs.contains(&series), in_unit(one.value, one.unit, unit))
            {
                state
                    .heard
                    .push((series, observation.time.millis(), number));
                buckets.insert(bucket(observation.time.millis(), *align));
            }
        }
    }
    let mut made = Vec::new();
    for at in buckets {
        let later = state
            .emitted
            .get(&derive.id)
            .is_none_or(|emitted| *emitted < at);
        let values: Option<BTreeMap<(Name, Name), f64>> = inputs
            .iter()
            .map(|series| Some((*series, in_bucket(&state.heard, *series, *align, at)?)))
            .collect();
        if let (true, Some(values)) = (later, values) {
            state.emitted.insert(derive.id, at);
            let number = remote_number(value, &values).filter(|number| number.is_finite());
            made.extend(observation(world, derive, derive.id, at, number));
        }
    }
    made
}

fn remote_number(expression: &Expression, values: &BTreeMap<(Name, Name), f64>) -> Option<f64> {
    use citywatch_rules::ast::Arithmetic::{Add, Divide, Multiply, Subtract};
    match expression {
        Expression::Number(number) => Some(*number),
        Expression::Remote(sensor, measurement) => values.get(&(*sensor, *measurement)).copied(),
        Expression::Negate(inner) => remote_number(inner, values).map(|number| -number),
        Expression::Arithmetic(left, operator, right) => {
            let (left, right) = (remote_number(left, values)?, remote_number(right, values)?);
            let number = match operator {
                Add => left + right,
                Subtract => left - right,
                Multiply => left * right,
                Divide => left / right,
            };
            number.is_finite().then_some(number)
        }
        other => panic!("{other:?} in a series over named sensors"),
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
