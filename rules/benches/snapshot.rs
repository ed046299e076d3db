//! What a restart costs: writing and reading the state of 100,000 sensors under the four default packs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::{Arc, mpsc};

use citywatch_model::{
    Body, Duration, Name, Observation, Record, RegistryChange, RuleSource, Sensor, Time, Value,
    name,
};
use citywatch_rules::{Engine, Epoch, Snapshot};
use criterion::{Criterion, criterion_group, criterion_main};

const START: i64 = 1_700_000_000_000;
const SENSORS: u64 = 100_000;
/// One reading of each sensor every six minutes for an hour.
const ROUNDS: u64 = 10;
const KINDS: [(&str, &str, &str); 5] = [
    ("gas_detector", "methane", "%LEL"),
    ("underpass", "water_depth", "cm"),
    ("river", "gage_height", "m"),
    ("rain_gauge", "rainfall", "mm"),
    ("gas_pipe", "pressure", "kPa"),
];

fn packs() -> Body {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
    let source = |file: &str| RuleSource {
        file: file.to_owned(),
        text: std::fs::read_to_string(folder.join(file)).unwrap(),
    };
    let files = ["flood.yaml", "forest_fire.yaml", "gas.yaml", "water.yaml"];
    Body::Rules(Arc::new(files.map(source).to_vec().into()))
}

fn id(number: u64) -> Name {
    name(&format!("sensor-{number:06}"))
}

fn registry() -> Body {
    let sensor = |number: u64| {
        let (kind, measurement, _) = KINDS[(number % 5) as usize];
        let mut sensor = Sensor::unknown(id(number));
        sensor.tags = [(name("kind"), name(kind))].into();
        sensor.zone = Some(name(&format!("cell-{}", number / 1_000)));
        // two kilometres from each other
        let (row, column) = (number / 316, number % 316);
        sensor.place = Some((20.0 + row as f64 * 0.02, 100.0 + column as f64 * 0.02));
        sensor.measurements = vec![name(measurement)];
        sensor.interval = Some(Duration::from_secs(360));
        sensor
    };
    Body::Registry(Arc::new(RegistryChange {
        upsert: (0..SENSORS).map(sensor).collect(),
        ..RegistryChange::default()
    }))
}

fn reading(number: u64) -> Body {
    let (round, number) = (number / SENSORS, number % SENSORS);
    let (_, measurement, unit) = KINDS[(number % 5) as usize];
    let time = Time::from_millis(START + round as i64 * 360_000 + number as i64);
    let value = ((number + round) as f64 * 0.618_033_988_749_895).fract() * 5.0;
    let values = [Value {
        measurement: name(measurement),
        value,
        unit: name(unit),
    }];
    Body::Observation(Observation {
        sensor: id(number),
        time,
        arrival: time,
        flags: 0,
        values: values.into(),
    })
}

fn records() -> Vec<Record> {
    let bodies = [packs(), registry()].into_iter();
    let bodies = bodies.chain((0..SENSORS * ROUNDS).map(reading));
    let record = |(position, body): (u64, Body)| {
        let clock = match &body {
            Body::Observation(observation) => observation.time,
            _ => Time::from_millis(START),
        };
        Record {
            position,
            clock,
            body,
        }
    };
    (1..).zip(bodies).map(record).collect()
}

fn state(engine: &Engine, epochs: &mpsc::Receiver<Epoch>) -> Snapshot {
    engine.snapshot().unwrap();
    epochs.iter().find_map(|epoch| epoch.snapshot).unwrap()
}

fn restart(criterion: &mut Criterion) {
    let (sender, epochs) = mpsc::channel();
    let on_epoch = move |epoch| sender.send(epoch).unwrap();
    let engine = Engine::start(2, Box::new(on_epoch)).unwrap();
    for records in records().chunks(10_000) {
        engine.submit(records.into()).unwrap();
    }
    let snapshot = state(&engine, &epochs);
    eprintln!("{snapshot:?}");
    let mut group = criterion.benchmark_group("restart");
    group.sample_size(10);
    group.bench_function("snapshot, 2 workers", |bencher| {
        bencher.iter(|| state(&engine, &epochs));
    });
    engine.close(None).unwrap();
    for workers in [1, 2] {
        let (sender, epochs) = mpsc::channel();
        let on_epoch = move |epoch| sender.send(epoch).unwrap();
        let engine = Engine::resume(workers, &snapshot.bytes, Box::new(on_epoch)).unwrap();
        if workers == 1 {
            group.bench_function("snapshot, 1 worker", |bencher| {
                bencher.iter(|| state(&engine, &epochs));
            });
        }
        group.bench_function(format!("resume, {workers} workers"), |bencher| {
            bencher.iter(|| {
                let engine = Engine::resume(workers, &snapshot.bytes, Box::new(|_| {}));
                engine.unwrap().close(None).unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, restart);
criterion_main!(benches);
