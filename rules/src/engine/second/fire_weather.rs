//! The Canadian fire weather index as derived series: at local noon from the weather then and the rain of the
//! day before, carrying its codes from day to day. The equations stand in `fwi`.

use std::collections::BTreeMap;

use citywatch_model::{Duration, Name, Observation, Time, Value, name};

use super::daily::{clock_in, file};
use super::derive::{Making, bound_place};
use super::fwi::{Codes, Weather, indices};
use crate::ast::{self, Method};
use crate::engine::counts::WeatherError;
use crate::engine::local::LocalTime;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure, kept};

const NOON: u16 = 12 * 60;
const DAY: Duration = Duration::from_secs(86_400);
/// Rain is kept a little longer than a day, because a day may have 25 hours.
const KEPT: Duration = Duration::from_secs(30 * 3_600);
/// Stations without a place on the map take the day lengths of the northern middle latitudes.
const NO_PLACE: f64 = 45.0;

/// All stations.
#[derive(Debug, Default)]
pub(super) struct FireWeather {
    stations: BTreeMap<Name, Station>,
    due: BTreeMap<Time, Vec<Name>>,
    clocks: BTreeMap<Name, LocalTime>,
}

#[derive(Debug)]
struct Station {
    codes: Codes,
    /// Event time in milliseconds and millimetres, in order of time.
    rain: Vec<(i64, f64)>,
}

kept!(Codes { ffmc, dmc, dc });
kept!(Station { codes, rain });

impl Kept for FireWeather {
    fn write(&self, to: &mut Writer) {
        self.stations.write(to);
        self.due.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<FireWeather, Damaged> {
        let weather = FireWeather {
            stations: Kept::read(from)?,
            due: Kept::read(from)?,
            clocks: BTreeMap::new(),
        };
        let finite = |Station { codes, .. }: &Station| {
            [codes.ffmc, codes.dmc, codes.dc]
                .into_iter()
                .all(f64::is_finite)
        };
        ensure(
            weather.stations.values().all(finite),
            "the moisture codes of a station cannot be",
        )?;
        Ok(weather)
    }
}

impl FireWeather {
    pub(super) fn make(&mut self, making: &mut Making<'_>) -> Vec<Observation> {
        let derive = making.derive;
        let Method::FireWeather(inputs) = &derive.method else {
            return Vec::new();
        };
        for input in 0..4 {
            for (place, time, value) in making.readings(input) {
                let (sensor, zone) = making.whereabouts(place);
                if !self.stations.contains_key(&sensor) {
                    self.open(sensor, zone, making.core.clock, inputs);
                }
                if let (3, Some(station)) = (input, self.stations.get_mut(&sensor)) {
                    file(&mut station.rain, time, value);
                }
            }
        }
        let Some(moment) = making.moment else {
            return Vec::new();
        };
        let mut sensors = self.due.remove(&moment).unwrap_or_default();
        sensors.sort();
        let noons = sensors.into_iter();
        noons
            .filter_map(|sensor| self.noon(making, sensor, moment))
            .collect()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.due.keys().next().copied()
    }

    /// Keeps only the sensors that `wanted` says.
    pub(super) fn retain(&mut self, wanted: impl Fn(Name) -> bool) {
        self.stations.retain(|sensor, _| wanted(*sensor));
        self.due.retain(|_, sensors| {
            sensors.retain(|sensor| wanted(*sensor));
            !sensors.is_empty()
        });
    }

    fn open(&mut self, sensor: Name, zone: Name, clock: Time, inputs: &ast::FireWeather) {
        let [ffmc, dmc, dc] = inputs.start;
        let station = Station {
            codes: Codes { ffmc, dmc, dc },
            rain: Vec::new(),
        };
        self.stations.insert(sensor, station);
        let local = clock_in(&mut self.clocks, zone);
        let (date, _) = local.date_and_time(clock.millis());
        let today = local.instant(date, NOON);
        let first = if today >= clock {
            today
        } else {
            local.instant(date + 1, NOON)
        };
        self.due.entry(first).or_default().push(sensor);
    }

    fn noon(&mut self, making: &mut Making<'_>, sensor: Name, noon: Time) -> Option<Observation> {
        let place = *making.core.places.get(&sensor)?;
        let (_, zone) = making.whereabouts(place);
        let local = clock_in(&mut self.clocks, zone);
        let (date, _) = local.date_and_time(noon.millis());
        let month = local.month(noon.millis());
        let mut next = local.instant(date, NOON);
        if next <= noon {
            next = local.instant(date + 1, NOON);
        }
        self.due.entry(next).or_default().push(sensor);
        let station = self.stations.get_mut(&sensor)?;
        let oldest = (noon - KEPT).millis();
        station.rain.retain(|(time, _)| *time > oldest);
        let since = (noon - DAY).millis();
        let day = |(time, _): &&(i64, f64)| *time > since && *time <= noon.millis();
        let rain = station.rain.iter().filter(day).map(|(_, rain)| rain).sum();
        let [temperature, humidity, wind] = newest(making, place, noon)?;
        let at = making.core.sensors[place as usize].profile.details.place;
        let weather = Weather {
            temperature,
            humidity,
            wind,
            rain,
            month,
            latitude: at.map_or(NO_PLACE, |(latitude, _)| latitude),
        };
        match indices(station.codes, weather) {
            Ok(indices) => {
                station.codes = indices.codes;
                let Codes { ffmc, dmc, dc } = indices.codes;
                let mut made = making.made(sensor, noon, indices.fwi);
                let (isi, bui) = (indices.isi, indices.bui);
                let all = [
                    ("ffmc", ffmc),
                    ("dmc", dmc),
                    ("dc", dc),
                    ("isi", isi),
                    ("bui", bui),
                ];
                made.values.extend(all.map(|(measurement, value)| Value {
                    measurement: name(measurement),
                    value,
                    unit: Name::default(),
                }));
                Some(made)
            }
            Err(wrong) => {
                making.core.tally.weather_error(&WeatherError {
                    series: making.derive.id,
                    sensor,
                    measurement: measured(making.derive, wrong.input),
                    value: wrong.value,
                    why: wrong.why.to_owned(),
                    times: 1,
                    time: noon,
                    position: making.core.position,
                });
                None
            }
        }
    }
}

/// Temperature, humidity and wind as they stand at noon; `None` if one is missing or stale.
fn newest(making: &Making<'_>, place: u32, noon: Time) -> Option<[f64; 3]> {
    let sensor = &making.core.sensors[place as usize];
    let bound = &sensor.bounds[bound_place(making.core, place, making.slot)?];
    let value = |input: usize| {
        let series = &sensor.series[usize::from((*bound.inputs.get(input)?)?)];
        let age = noon.since(series.newest?).millis();
        (age <= sensor.profile.limits.stale_ms).then_some(series.value)
    };
    Some([value(0)?, value(1)?, value(2)?])
}

/// What the station calls input `number`.
fn measured(derive: &ast::Derive, number: usize) -> Name {
    match &derive.method {
        Method::FireWeather(inputs) => [
            inputs.temperature,
            inputs.humidity,
            inputs.wind,
            inputs.rain,
        ][number.min(3)],
        Method::Each { .. }
        | Method::Named { .. }
        | Method::Zones { .. }
        | Method::Daily { .. } => derive.measurement,
    }
}
