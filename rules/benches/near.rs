//! What `near` and `count_near` cost in a dense city of 20 by 20 km: a few sensors that contribute among many
//! that do not, and sensors all of one kind, where each reading touches every neighbour.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};

use citywatch_model::{
    Body, Name, Observation, Record, RegistryChange, RuleSource, Sensor, Time, Value, name,
};
use citywatch_rules::{Engine, Epoch};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const START: i64 = 1_780_000_000_000;
/// Degrees of latitude and longitude that are 20 km at 40° north.
const ACROSS: (f64, f64) = (0.18, 0.235);

struct City {
    name: &'static str,
    sensors: u64,
    /// Every so many sensors one is a rain gauge, and the one after it an underpass.
    every: u64,
    condition: &'static str,
    epoch: u64,
}

const CITIES: [City; 5] = [
    City {
        name: "1,000 gauges and 1,000 underpasses among 100,000 sensors, max",
        sensors: 100_000,
        every: 100,
        condition: "value >= 10 and near(rainfall, 3km, max(sum(1h))) >= 20",
        epoch: 100_000,
    },
    City {
        name: "1,000 gauges and 1,000 underpasses among 100,000 sensors, mean",
        sensors: 100_000,
        every: 100,
        condition: "value >= 10 and near(rainfall, 3km, mean(sum(1h))) >= 20",
        epoch: 100_000,
    },
    City {
        name: "2,000 of one kind, max",
        sensors: 2_000,
        every: 0,
        condition: "value >= 20 and near(water_depth, 3km, max(value)) >= 20",
        epoch: 2_000,
    },
    City {
        name: "2,000 of one kind, count",
        sensors: 2_000,
        every: 0,
        condition: "count_near(water_depth, 3km, value >= 20) >= 150",
        epoch: 2_000,
    },
    City {
        name: "2,000 of one kind, sum",
        sensors: 2_000,
        every: 0,
        condition: "near(water_depth, 3km, sum(value)) >= 5000",
        epoch: 2_000,
    },
];

impl City {
    fn kind(&self, sensor: u64) -> &'static str {
        match sensor.checked_rem(self.every) {
            None | Some(1) => "water_depth",
            Some(0) => "rainfall",
            Some(_) => "methane",
        }
    }

    fn rules(&self) -> Body {
        let condition = self.condition;
        let text = format!(
            "rules: [{{ id: r, measurement: water_depth, levels: {{ red: '{condition}' }} }}]"
        );
        let file = "bench.yaml".to_owned();
        Body::Rules(Arc::new(vec![RuleSource { file, text }].into()))
    }

    fn registry(&self) -> Body {
        let sensor = |number: u64| {
            let mut sensor = Sensor::unknown(id(number));
            // two low-discrepancy walks spread them evenly
            let part = |step: f64| (number as f64 * step).fract();
            let (north, east) = (part(0.754_877_666_246_693), part(0.569_840_290_998_053));
            sensor.place = Some((40.0 + ACROSS.0 * north, 116.0 + ACROSS.1 * east));
            sensor
        };
        Body::Registry(Arc::new(RegistryChange {
            upsert: (0..self.sensors).map(sensor).collect(),
            ..RegistryChange::default()
        }))
    }

    /// The next observations: sensors in turn, one a minute of each.
    fn records(&self, from: u64) -> Arc<[Record]> {
        let record = |number: u64| {
            let time = Time::from_millis(START + (number / self.sensors) as i64 * 60_000);
            let sensor = number % self.sensors;
            let value = (number as f64 * 0.618_033_988_749_895).fract() * 25.0;
            let values = [Value {
                measurement: name(self.kind(sensor)),
                value,
                unit: Name::default(),
            }];
            let observation = Observation {
                sensor: id(sensor),
                time,
                arrival: time,
                flags: 0,
                values: values.into(),
            };
            Record {
                position: number + 3,
                clock: time,
                body: Body::Observation(observation),
            }
        };
        (from..from + self.epoch).map(record).collect()
    }

    /// An engine over all sensors, each of which has spoken.
    fn engine(&self) -> (Engine, Receiver<Epoch>) {
        let (sender, epochs) = mpsc::channel();
        let on_epoch = move |epoch| sender.send(epoch).unwrap();
        let engine = Engine::start(1, Box::new(on_epoch)).unwrap();
        let record = |(position, body)| Record {
            position,
            clock: Time::from_millis(START),
            body,
        };
        let first = (1..).zip([self.rules(), self.registry()]).map(record);
        engine.submit(first.collect()).unwrap();
        engine.submit(self.records(0)).unwrap();
        epochs.iter().take(2).for_each(drop);
        (engine, epochs)
    }
}

fn id(sensor: u64) -> Name {
    name(&format!("n-{sensor:06}"))
}

fn near(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("near in a city of 20 km");
    group.sample_size(10);
    for city in CITIES {
        let (engine, epochs) = city.engine();
        let mut number = city.epoch;
        let mut next = || {
            let records = city.records(number);
            number += city.epoch;
            records
        };
        group.throughput(Throughput::Elements(city.epoch));
        group.bench_function(city.name, |bencher| {
            let run = |records| {
                engine.submit(records).unwrap();
                epochs.recv().unwrap()
            };
            bencher.iter_batched(&mut next, run, BatchSize::LargeInput);
        });
        engine.close(None).unwrap();
    }
    group.finish();
}

criterion_group!(benches, near);
criterion_main!(benches);
