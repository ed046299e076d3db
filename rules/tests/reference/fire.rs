//! `fwi:` at local noon, day by day.

use std::collections::BTreeMap;

use citywatch_model::{Name, Observation, Time, Value, flags, name};
use citywatch_rules::ast::{Derive, FireWeather};

use crate::derive::at_minutes;
use crate::fwi::{Codes, MOISTURE, day};
use crate::world::World;

#[derive(Default)]
pub struct Stations {
    /// The next noon and the codes of the day before, by station.
    next: BTreeMap<Name, (i64, Codes)>,
}

type Brought = [(Observation, Vec<(Value, bool)>)];

impl Stations {
    pub fn retain(&mut self, stays: impl Fn(Name) -> bool) {
        self.next.retain(|station, _| stays(*station));
    }

    /// A station begins with the first noon that is not past when it has said anything of use.
    pub fn begin(
        &mut self,
        world: &World,
        derive: &Derive,
        weather: &FireWeather,
        brought: &Brought,
    ) {
        let inputs = [
            weather.temperature,
            weather.humidity,
            weather.wind,
            weather.rain,
        ];
        for (observation, values) in brought {
            let speaks = values
                .iter()
                .any(|(value, _)| inputs.contains(&value.measurement));
            let station = observation.sensor;
            if speaks
                && world.selected(&derive.selector, station)
                && !self.next.contains_key(&station)
            {
                let [ffmc, dmc, dc] = weather.start;
                self.next.insert(
                    station,
                    (
                        noon_from(world, station, world.clock),
                        Codes { ffmc, dmc, dc },
                    ),
                );
            }
        }
    }

    pub fn moments(&self, _: &World) -> impl Iterator<Item = i64> {
        self.next.values().map(|(noon, _)| *noon)
    }

    /// Whether noon is now at any station.
    pub fn noon(
        &mut self,
        world: &World,
        derive: &Derive,
        weather: &FireWeather,
        moment: i64,
        made: &mut Vec<Observation>,
    ) -> bool {
        let mut due = false;
        for (station, (noon, codes)) in &mut self.next {
            if *noon != moment {
                continue;
            }
            due = true;
            *noon = noon_from(world, *station, moment + 1);
            let newest = |measurement: Name, unit: &str| {
                let values = world.values(*station, measurement, name(unit));
                let (time, value) = *values.last()?;
                (moment - time <= world.stale_after(*station)).then_some(value)
            };
            let rain = world.values(*station, weather.rain, name("mm"));
            let rain = rain
                .iter()
                .filter(|(time, _)| (moment - 86_400_000 + 1..=moment).contains(time));
            let rain: f64 = rain.map(|(_, value)| value).sum();
            let read = (
                newest(weather.temperature, "Cel"),
                newest(weather.humidity, "%"),
                newest(weather.wind, "km/h"),
            );
            let (Some(temperature), Some(humidity), Some(wind)) = read else {
                continue;
            };
            if !(0.0..=100.0).contains(&humidity) || wind < 0.0 || rain < 0.0 {
                continue;
            }
            let month = world.zoned(*station, moment).month();
            let latitude = world.profile(*station).place.map(|place| place.0);
            let indices = day(
                codes,
                [temperature, humidity, wind, rain],
                month,
                latitude,
                MOISTURE,
            );
            made.push(observation(derive, *station, moment, *codes, indices));
        }
        due
    }
}

fn observation(
    derive: &Derive,
    sensor: Name,
    moment: i64,
    codes: Codes,
    [isi, bui, fwi]: [f64; 3],
) -> Observation {
    let one = |measurement: &str, value| Value {
        measurement: name(measurement),
        value,
        unit: name(""),
    };
    let time = Time::from_millis(moment);
    let values = [
        one("ffmc", codes.ffmc),
        one("dmc", codes.dmc),
        one("dc", codes.dc),
        one("isi", isi),
        one("bui", bui),
        one(&derive.measurement, fwi),
    ];
    Observation {
        sensor,
        time,
        arrival: time,
        flags: flags::DERIVED,
        values: values.into_iter().collect(),
    }
}

/// The first local noon at or after `clock`.
fn noon_from(world: &World, station: Name, clock: i64) -> i64 {
    let local = world.zoned(station, clock);
    let noon = at_minutes(&local, 720);
    if noon >= clock {
        noon
    } else {
        at_minutes(&local.tomorrow().unwrap(), 720)
    }
}
