//! A derived series in force: what it remembers, and what it makes of the readings that were filed. The
//! ways of making one have files of their own; expressions with windows are evaluated like those of rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citywatch_model::{Name, Observation, Time, Value, flags};
use smallvec::smallvec;

use super::bring::Filed;
use super::daily::Daily;
use super::fire_weather::FireWeather;
use super::joined::{self, Input, Joined};
use super::zones::Zones;
use crate::ast::{Derive, Method};
use crate::engine::core::Core;
use crate::engine::series::Series;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure};

/// One derived series.
#[derive(Debug)]
pub(super) struct Deriver {
    pub derive: Arc<Derive>,
    /// The program that files its inputs; one over named sensors has none.
    slot: Option<u32>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The inputs, and what waits by the sensor at which the series is made.
    Joined(Vec<Input>, BTreeMap<Name, Joined>),
    Windowed,
    Zones(Zones),
    Daily(Daily),
    FireWeather(Box<FireWeather>),
}

/// What the makers of a series look at.
pub(super) struct Making<'a> {
    pub core: &'a mut Core,
    pub derive: &'a Derive,
    pub slot: u32,
    pub filed: &'a [Filed],
    /// The moment that fires, if it is not a record that is read.
    pub moment: Option<Time>,
}

impl Deriver {
    /// `held` is the same series as it was in force before.
    pub(super) fn new(derive: &Arc<Derive>, slot: Option<u32>, held: Option<Deriver>) -> Deriver {
        let fresh = || match &derive.method {
            Method::Each { value, inputs, .. } if value.is_plain() => {
                let inputs = inputs.iter().map(|measurement| (None, *measurement));
                State::Joined(inputs.collect(), BTreeMap::new())
            }
            Method::Each { .. } => State::Windowed,
            Method::Named { inputs, .. } => {
                let inputs = inputs
                    .iter()
                    .map(|(sensor, measurement)| (Some(*sensor), *measurement));
                State::Joined(inputs.collect(), BTreeMap::new())
            }
            Method::Zones { .. } => State::Zones(Zones::default()),
            Method::Daily { .. } => State::Daily(Daily::default()),
            Method::FireWeather(_) => State::FireWeather(Box::default()),
        };
        Deriver {
            derive: Arc::clone(derive),
            slot,
            state: held.map_or_else(fresh, |held| held.state),
        }
    }

    /// Keeps what it remembers.
    pub(super) fn write(&self, to: &mut Writer) {
        match &self.state {
            State::Windowed => {}
            State::Joined(_, held) => held.write(to),
            State::Zones(zones) => zones.write(to),
            State::Daily(daily) => daily.write(to),
            State::FireWeather(weather) => weather.write(to),
        }
    }

    /// Takes in what was kept, read up to `clock`.
    pub(super) fn read(&mut self, clock: Time, from: &mut Reader<'_>) -> Result<(), Damaged> {
        match &mut self.state {
            State::Windowed => {}
            State::Joined(inputs, held) => {
                *held = Kept::read(from)?;
                let fit = held.values().all(|joined| joined.fits(inputs));
                ensure(fit, "a derived series waits for others")?;
            }
            State::Zones(zones) => *zones = Kept::read(from)?,
            State::Daily(daily) => *daily = Kept::read(from)?,
            State::FireWeather(weather) => *weather = Kept::read(from)?,
        }
        ensure(
            self.next().is_none_or(|next| next >= clock),
            "a derived series should have been made long ago",
        )
    }

    /// The measurements that it is made of. Where none of them is filed, only a moment makes something of it.
    pub(super) fn inputs(&self, core: &Core) -> BTreeSet<Name> {
        if let Method::Named { inputs, .. } = &self.derive.method {
            return inputs.iter().map(|(_, measurement)| *measurement).collect();
        }
        let program = self
            .slot
            .and_then(|slot| core.programs[slot as usize].as_ref());
        let inputs = program.into_iter().flat_map(|program| &program.inputs);
        inputs.map(|(measurement, _)| *measurement).collect()
    }

    /// What is made now, in order of sensors.
    pub(super) fn make(
        &mut self,
        core: &mut Core,
        filed: &[Filed],
        moment: Option<Time>,
    ) -> Vec<Observation> {
        let mut making = Making {
            core,
            derive: &self.derive,
            slot: self.slot.unwrap_or(u32::MAX),
            filed,
            moment,
        };
        match &mut self.state {
            State::Joined(inputs, held) => match &self.derive.method {
                Method::Each { value, align, .. } | Method::Named { value, align, .. } => {
                    joined::make(held, &mut making, inputs, (value, *align))
                }
                _ => Vec::new(),
            },
            State::Windowed => windowed(&mut making),
            State::Zones(zones) => zones.make(&mut making),
            State::Daily(daily) => daily.make(&mut making),
            State::FireWeather(weather) => weather.make(&mut making),
        }
    }

    /// When the next moment is.
    pub(super) fn next(&self) -> Option<Time> {
        match &self.state {
            State::Joined(..) | State::Windowed | State::Zones(_) => None,
            State::Daily(daily) => daily.next(),
            State::FireWeather(weather) => weather.next(),
        }
    }

    /// Whether its series belong to zones.
    pub(super) fn speaks_for_zones(&self) -> bool {
        matches!(self.state, State::Zones(_))
    }

    /// The sensor is gone.
    pub(super) fn forget(&mut self, sensor: Name) {
        match &mut self.state {
            State::Joined(_, held) if self.slot.is_some() => drop(held.remove(&sensor)),
            State::Joined(..) => {}
            State::Windowed | State::Zones(_) => {}
            State::Daily(daily) => daily.retain(|held| held != sensor),
            State::FireWeather(weather) => weather.retain(|held| held != sensor),
        }
    }

    /// Forgets what was kept of sensors at which it is not made any more.
    pub(super) fn forget_the_unselected(&mut self, core: &Core) {
        let Some(slot) = self.slot else { return };
        let selected = |sensor: Name| {
            let place = core.places.get(&sensor);
            place.is_some_and(|place| bound_place(core, *place, slot).is_some())
        };
        match &mut self.state {
            State::Joined(_, held) => held.retain(|sensor, _| selected(*sensor)),
            State::Windowed | State::Zones(_) => {}
            State::Daily(daily) => daily.retain(selected),
            State::FireWeather(weather) => weather.retain(selected),
        }
    }
}

impl Making<'_> {
    /// Plausible readings among those filed of the series' input `number`, at sensors where it is made: place
    /// of the sensor, event time, value in the wanted unit.
    pub(super) fn readings(&self, number: usize) -> Vec<(u32, Time, f64)> {
        let mut readings = Vec::new();
        for Filed { place, observation } in self.filed {
            let Some(program) = self.core.programs[self.slot as usize].as_ref() else {
                continue;
            };
            let (measurement, unit) = program.inputs[number];
            let limits = &self.core.sensors[*place as usize].profile.limits;
            let value = observation
                .values
                .iter()
                .find(|value| value.measurement == measurement)
                .filter(|value| limits.plausible(value.value, observation.flags))
                .and_then(|value| crate::engine::remote::converted(value.value, value.unit, unit));
            if let Some(value) = value
                && bound_place(self.core, *place, self.slot).is_some()
            {
                readings.push((*place, observation.time, value));
            }
        }
        readings
    }

    /// One value of the series at `sensor`.
    pub(super) fn made(&self, sensor: Name, time: Time, value: f64) -> Observation {
        Observation {
            sensor,
            time,
            arrival: self.core.clock,
            flags: flags::DERIVED,
            values: smallvec![Value {
                measurement: self.derive.measurement,
                value,
                unit: self.derive.unit,
            }],
        }
    }

    /// Id of the sensor at `place`, and its IANA time zone.
    pub(super) fn whereabouts(&self, place: u32) -> (Name, Name) {
        let sensor = &self.core.sensors[place as usize];
        let zone = self.core.zones.time_zone_at(sensor.profile.details.zone);
        (sensor.id, zone)
    }
}

/// Where among the sensor's bounds the program at `slot` is.
pub(super) fn bound_place(core: &Core, place: u32, slot: u32) -> Option<usize> {
    let bounds = &core.sensors[place as usize].bounds;
    bounds.iter().position(|bound| bound.slot == slot)
}

/// An expression with windows over what the same sensor measures, one value per event time that is the newest of all
/// its inputs.
fn windowed(making: &mut Making<'_>) -> Vec<Observation> {
    let places: BTreeSet<u32> = making.filed.iter().map(|filed| filed.place).collect();
    let mut made = Vec::new();
    for place in places {
        let core = &mut *making.core;
        let Some(bound) = bound_place(core, place, making.slot) else {
            continue;
        };
        let sensor = &core.sensors[place as usize];
        let inputs = || {
            let inputs = sensor.bounds[bound].inputs.iter();
            inputs.map(|input| input.map(|input| &sensor.series[usize::from(input)]))
        };
        let fresh = |series: &&Series| series.fresh == core.step;
        let newest = inputs()
            .flatten()
            .filter(fresh)
            .filter_map(|series| series.newest)
            .max();
        // one value per event time, once the last input for that time is there
        let complete = inputs().all(|series| series.and_then(|series| series.newest) == newest);
        let id = sensor.id;
        let Some(time) = newest else { continue };
        // windows move on with every reading, or what they hold would be dropped before they have let it go
        let value = core.measure(place, bound);
        if let (true, Some(value)) = (complete, value) {
            made.push(making.made(id, time, value));
        }
    }
    made
}
