//! What the default packs cost: putting them in force, and a reading of each of 100,000 sensors through the
//! engine with all of them at work.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::{fs, path::Path};

use citywatch_model::{
    Body, Name, Observation, Record, RegistryChange, RuleSource, Sensor, Time, Value, name,
};
use citywatch_rules::{Engine, Epoch, compile};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SENSORS: u64 = 100_000;
const EPOCH: u64 = 10_000;
const START: i64 = 1_780_000_000_000;

/// Kinds of sensors, what each measures in which unit, and about what value is usual.
type Kind = (&'static str, &'static [(&'static str, &'static str, f64)]);

const KINDS: [Kind; 8] = [
    (
        "gas_detector",
        &[("methane", "%LEL", 5.0), ("co", "ppm", 3.0)],
    ),
    (
        "manhole_gas",
        &[("methane", "%LEL", 5.0), ("oxygen", "%vol", 20.8)],
    ),
    ("network_pressure", &[("pressure", "MPa", 0.3)]),
    (
        "dma_inlet",
        &[("flow", "m3/h", 120.0), ("pressure", "MPa", 0.3)],
    ),
    ("underpass", &[("water_depth", "cm", 1.0)]),
    ("river", &[("gage_height", "m", 1.0)]),
    (
        "weather_station",
        &[
            ("temperature", "Cel", 22.0),
            ("relative_humidity", "%", 60.0),
        ],
    ),
    ("air_quality", &[("pm2_5", "ug/m3", 20.0)]),
];

fn packs() -> Vec<RuleSource> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
    let pack = |hazard| {
        let file = format!("{hazard}.yaml");
        let text = fs::read_to_string(folder.join(&file)).unwrap();
        RuleSource { file, text }
    };
    ["gas", "water", "flood", "forest_fire"].map(pack).to_vec()
}

fn id(sensor: u64) -> Name {
    name(&format!("p-{sensor:06}"))
}

/// A district of about 300 by 300 sensors, a hundred metres apart.
fn registry() -> RegistryChange {
    let sensor = |number: u64| {
        let mut sensor = Sensor::unknown(id(number));
        let (kind, _) = KINDS[(number % 8) as usize];
        sensor.tags.insert(name("kind"), name(kind));
        let (row, column) = ((number / 316) as f64, (number % 316) as f64);
        sensor.place = Some((39.8 + row * 0.001, 116.2 + column * 0.001));
        sensor
    };
    RegistryChange {
        upsert: (0..SENSORS).map(sensor).collect(),
        ..RegistryChange::default()
    }
}

/// The next observation: sensors in turn, one a minute of each.
fn record(number: u64) -> Record {
    let time = Time::from_millis(START + (number / SENSORS) as i64 * 60_000);
    let sensor = number % SENSORS;
    let (_, measured) = KINDS[(sensor % 8) as usize];
    let part = (number as f64 * 0.618_033_988_749_895).fract() - 0.5;
    let value = |(measurement, unit, usual): &(&str, &str, f64)| Value {
        measurement: name(measurement),
        value: usual * (1.0 + 0.2 * part),
        unit: name(unit),
    };
    let observation = Observation {
        sensor: id(sensor),
        time,
        arrival: time,
        flags: 0,
        values: measured.iter().map(value).collect(),
    };
    Record {
        position: number + 3,
        clock: time,
        body: Body::Observation(observation),
    }
}

fn records(from: u64, count: u64) -> Arc<[Record]> {
    (from..from + count).map(record).collect()
}

/// An engine with the packs in force over all sensors, each of which has spoken.
fn engine(workers: usize) -> (Engine, Receiver<Epoch>) {
    let (sender, epochs) = mpsc::channel();
    let on_epoch = move |epoch| sender.send(epoch).unwrap();
    let engine = Engine::start(workers, Box::new(on_epoch)).unwrap();
    let bodies = [
        Body::Rules(Arc::new(packs().into())),
        Body::Registry(Arc::new(registry())),
    ];
    let clock = Time::from_millis(START);
    let records_of = |(position, body): (usize, Body)| Record {
        position: position as u64 + 1,
        clock,
        body,
    };
    let first: Vec<Record> = bodies.into_iter().enumerate().map(records_of).collect();
    engine.submit(first.into()).unwrap();
    engine.submit(records(0, SENSORS)).unwrap();
    epochs.iter().take(2).for_each(drop);
    (engine, epochs)
}

fn compile_packs(criterion: &mut Criterion) {
    let packs = packs();
    criterion.bench_function("compile the four packs", |bencher| {
        bencher.iter(|| compile(black_box(&packs)).unwrap());
    });
}

fn run_packs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("four packs over 100,000 sensors");
    group.sample_size(20);
    for workers in [1, 2] {
        let (engine, epochs) = engine(workers);
        let mut number = SENSORS;
        let mut next = || {
            let epoch = records(number, EPOCH);
            number += EPOCH;
            epoch
        };
        let readings: usize = KINDS.iter().map(|(_, measured)| measured.len()).sum();
        group.throughput(Throughput::Elements(EPOCH * readings as u64 / 8));
        group.bench_function(format!("{workers} workers"), |bencher| {
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

criterion_group!(benches, compile_packs, run_packs);
criterion_main!(benches);
