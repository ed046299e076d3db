//! `derive:` by its definitions: new series out of those that are filed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citywatch_model::{Name, Observation, Time, Value, flags};
use citywatch_rules::ast::{Derive, Expression, Method};
use jiff::civil;

use crate::buckets::{joined, zones};
use crate::change::same_series;
use crate::fire::Stations;
use crate::groups::aggregated;
use crate::sight::Sight;
use crate::world::{Touched, World, in_unit};

static NOTHING: Touched = Touched::new();

/// What arrived, with whether each value is the newest of its series.
pub type Brought = Vec<(Observation, Vec<(Value, bool)>)>;

#[derive(Default)]
pub struct Derivation {
    series: Vec<(Arc<Derive>, State)>,
}

/// Sensor and measurement, event time, value and unit.
pub type Heard = ((Name, Name), i64, (f64, Name));

#[derive(Default)]
pub struct State {
    /// What was contributed to a series whose inputs wait for each other.
    pub heard: Vec<Heard>,
    /// Buckets of such a series that lack an input, by the sensor at which it is made.
    pub waiting: BTreeMap<Name, BTreeSet<i64>>,
    /// To a series over zones: by sensor and zone that it stood in then, at which event time, which value.
    pub zoned: Vec<((Name, Name), i64, f64)>,
    /// The newest bucket that was emitted, by the sensor that it was emitted at.
    pub emitted: BTreeMap<Name, i64>,
    /// Readings of days whose moment is to come: sensor, moment, value.
    days: Vec<(Name, i64, f64)>,
    stations: Stations,
}

impl Derivation {
    pub fn install(&mut self, derived: Vec<Arc<Derive>>, world: &World) {
        let mut old = std::mem::take(&mut self.series);
        for derive in derived {
            let kept = old.iter().position(|(one, _)| same_series(one, &derive));
            let state = kept
                .map(|place| old.swap_remove(place).1)
                .unwrap_or_default();
            self.series.push((derive, state));
        }
        self.forget(world);
    }

    /// Drops what is kept of sensors that are gone or no longer selected.
    pub fn forget(&mut self, world: &World) {
        for (derive, state) in &mut self.series {
            let stays = |sensor: Name| {
                world.known.contains_key(&sensor) && world.selected(&derive.selector, sensor)
            };
            state.days.retain(|(sensor, _, _)| stays(*sensor));
            state.zoned.retain(|((sensor, _), _, _)| stays(*sensor));
            state.stations.retain(stays);
        }
    }

    /// Makes what follows from an observation, each series from what those before it made.
    pub fn observed(
        &mut self,
        world: &mut World,
        observation: &Observation,
        accepted: &[(Value, bool)],
        touched: &mut Touched,
    ) {
        self.follow(
            world,
            vec![(observation.clone(), accepted.to_vec())],
            touched,
        );
    }

    fn follow(&mut self, world: &mut World, mut brought: Brought, touched: &mut Touched) {
        for (derive, state) in &mut self.series {
            let made = match &derive.method {
                Method::Each { value, inputs, .. } if !value.is_plain() => {
                    windowed(world, derive, (value, inputs), &brought)
                }
                Method::Each { .. } | Method::Named { .. } => {
                    joined(world, derive, state, &brought)
                }
                Method::Zones { .. } => zones(world, derive, state, &brought),
                Method::Daily { .. } => {
                    gather_days(world, derive, state, &brought);
                    Vec::new()
                }
                Method::FireWeather(weather) => {
                    state.stations.begin(world, derive, weather, &brought);
                    Vec::new()
                }
            };
            for observation in made {
                if matches!(derive.method, Method::Zones { .. }) {
                    world.with_series.insert(observation.sensor);
                }
                let accepted = world.file(&observation, touched);
                brought.push((observation, accepted));
            }
        }
    }

    pub fn next_moment(&self, world: &World) -> Option<i64> {
        let next = self.series.iter().flat_map(|(_, state)| {
            let days = state.days.iter().map(|(_, moment, _)| *moment);
            days.chain(state.stations.moments(world))
        });
        next.min()
    }

    /// Lets the moment pass; whether anything was due.
    pub fn moment(&mut self, world: &mut World, moment: i64, touched: &mut Touched) -> bool {
        let mut made = Vec::new();
        let mut due = false;
        for (derive, state) in &mut self.series {
            let today = state.days.iter().filter(|(_, at, _)| *at == moment);
            let sensors: BTreeSet<Name> = today.map(|(sensor, _, _)| *sensor).collect();
            for sensor in sensors {
                due = true;
                let values = state
                    .days
                    .iter()
                    .filter(|(one, at, _)| *at == moment && *one == sensor);
                let values: Vec<f64> = values.map(|(_, _, value)| *value).collect();
                if let Method::Daily { aggregate, .. } = derive.method {
                    made.extend(observation(
                        world,
                        derive,
                        sensor,
                        moment,
                        aggregated(aggregate, &values),
                    ));
                }
            }
            state.days.retain(|(_, at, _)| *at != moment);
            if let Method::FireWeather(weather) = &derive.method {
                due |= state
                    .stations
                    .noon(world, derive, weather, moment, &mut made);
            }
        }
        let filed = made.into_iter().map(|one| {
            let accepted = world.file(&one, touched);
            (one, accepted)
        });
        let brought: Brought = filed.collect();
        if due {
            self.follow(world, brought, touched);
        }
        due
    }
}

pub fn observation(
    world: &World,
    derive: &Derive,
    sensor: Name,
    time: i64,
    value: Option<f64>,
) -> Option<Observation> {
    let value = Value {
        measurement: derive.measurement,
        value: crate::truth::rounded(value?),
        unit: derive.unit,
    };
    Some(Observation {
        sensor,
        time: Time::from_millis(time),
        arrival: Time::from_millis(world.clock),
        flags: flags::DERIVED,
        values: [value].into_iter().collect(),
    })
}

/// With windows, at each sensor that has its first input: when one of its inputs brings something new.
fn windowed(
    world: &World,
    derive: &Derive,
    (value, inputs): (&Expression, &[Name]),
    brought: &Brought,
) -> Vec<Observation> {
    let mut times: BTreeMap<Name, i64> = BTreeMap::new();
    for (observation, values) in brought {
        let named = values
            .iter()
            .any(|(value, newest)| *newest && inputs.contains(&value.measurement));
        let sensor = observation.sensor;
        if named && world.selected(&derive.selector, sensor) && world.spoke(sensor, inputs[0]) {
            let time = times.entry(sensor).or_insert(i64::MIN);
            *time = (*time).max(observation.time.millis());
        }
    }
    let sight = |sensor: Name| sight(world, (sensor, inputs), (value, derive.unit));
    // one value per event time, once the last input has arrived for it
    let complete = |sensor: Name, time: i64| {
        let sight = sight(sensor);
        let at = |input: &Name| sight.values(sensor, *input).last().map(|(time, _)| *time);
        inputs.iter().all(|input| at(input) == Some(time))
    };
    times.retain(|sensor, time| complete(*sensor, *time));
    let made = times.into_iter().filter_map(|(sensor, time)| {
        observation(world, derive, sensor, time, sight(sensor).number(value))
    });
    made.collect()
}

fn sight<'a>(
    world: &'a World,
    (subject, inputs): (Name, &'a [Name]),
    derived: (&'a Expression, Name),
) -> Sight<'a> {
    let nothing = citywatch_model::name("");
    let clock = world.clock;
    Sight {
        world,
        subject,
        converted: (nothing, nothing),
        derived: Some(derived),
        inputs,
        clock,
        moment: false,
        touched: &NOTHING,
        interval: None,
    }
}

/// Keeps what belongs to a day whose end is not past.
fn gather_days(world: &World, derive: &Derive, state: &mut State, brought: &Brought) {
    let Method::Daily { of, from, to, .. } = derive.method else {
        return;
    };
    for (observation, values) in brought {
        let (sensor, time) = (observation.sensor, observation.time.millis());
        let Some((value, _)) = values.iter().find(|(value, _)| value.measurement == of) else {
            continue;
        };
        let local = world.zoned(sensor, time);
        let minutes = local.hour() as u16 * 60 + local.minute() as u16;
        let end = at_minutes(&local, to);
        let counts = (from..to).contains(&minutes) && end >= world.clock;
        if let (true, Some(number)) = (
            counts && world.selected(&derive.selector, sensor),
            in_unit(value.value, value.unit, derive.unit),
        ) {
            state.days.push((sensor, end, number));
        }
    }
}

/// That many minutes after the midnight that began the local day.
pub fn at_minutes(local: &jiff::Zoned, minutes: u16) -> i64 {
    let (hour, minute) = ((minutes / 60) as i8, (minutes % 60) as i8);
    let (date, hour) = if hour == 24 {
        (local.date().tomorrow().unwrap(), 0)
    } else {
        (local.date(), hour)
    };
    let end = date
        .to_datetime(civil::time(hour, minute, 0, 0))
        .to_zoned(local.time_zone().clone());
    end.unwrap().timestamp().as_millisecond()
}
