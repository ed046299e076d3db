//! What a reading costs: one step for each window function, and an epoch through the dataflow.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::{Arc, mpsc};

use citywatch_model::{Body, Observation, Record, RuleSource, Time, Value, name};
use citywatch_rules::{Engine, Stage, compile};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const START: i64 = 1_700_000_000_000;
const CONDITIONS: [&str; 17] = [
    "value >= 20",
    "value >= 20 for 2m",
    "age > 1h",
    "min(1h) < 0",
    "max(1h) > 99",
    "first(1h) > 99",
    "last(1h) > 99",
    "rise(1h) > 99",
    "fall(1h) > 99",
    "change(1h) > 99",
    "slope(1h) > 99",
    "span(1h) > 2h",
    "unchanged(1h)",
    "sum(1h) > 1e9",
    "count(1h) > 1e9",
    "mean(1h) > 99",
    "stddev(1h) > 99",
];

fn source(conditions: &[&str]) -> Vec<RuleSource> {
    let rule = |(place, condition): (usize, &&str)| {
        format!(
            "  - {{ id: r-{place}, measurement: methane, unit: '%LEL', levels: {{ red: '{condition}' }} }}\n"
        )
    };
    let rules: String = conditions.iter().enumerate().map(rule).collect();
    vec![RuleSource {
        file: "bench.yaml".to_owned(),
        text: format!("rules:\n{rules}"),
    }]
}

/// The next reading: sensors in turn, one reading a second of each.
fn record(number: u64, sensors: u64) -> Record {
    let time = Time::from_millis(START + (number / sensors) as i64 * 1_000);
    // a low-discrepancy walk between 0 and 10, so that queues of extremes stay busy
    let value = (number as f64 * 0.618_033_988_749_895).fract() * 10.0;
    let values = [Value {
        measurement: name("methane"),
        value,
        unit: name("%LEL"),
    }]
    .into();
    let sensor = name(&format!("g-{}", number % sensors));
    let observation = Observation {
        sensor,
        time,
        arrival: time,
        flags: 0,
        values,
    };
    Record {
        position: number + 2,
        clock: time,
        body: Body::Observation(observation),
    }
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(1));
    for condition in CONDITIONS {
        let mut stage = Stage::new();
        stage.set_rules(Arc::new(compile(&source(&[condition])).unwrap()));
        let mut number = 0;
        let mut out = Vec::new();
        let mut next = || {
            number += 1;
            record(number, 1)
        };
        (0..4_000).for_each(|_| stage.step(&next(), &mut out));
        group.bench_function(condition, |bencher| {
            bencher.iter_batched_ref(
                &mut next,
                |record| stage.step(black_box(record), &mut out),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn epoch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("epoch");
    for (workers, readings) in [(1, 1), (2, 1), (1, 10_000), (2, 10_000)] {
        let (sender, epochs) = mpsc::channel();
        let engine =
            Engine::start(workers, Box::new(move |epoch| sender.send(epoch).unwrap())).unwrap();
        let rules = Body::Rules(Arc::new(
            source(&["value >= 20 for 2m", "rise(10m) >= 11"]).into(),
        ));
        engine
            .submit(
                [Record {
                    position: 1,
                    clock: Time::from_millis(START),
                    body: rules,
                }]
                .into(),
            )
            .unwrap();
        epochs.recv().unwrap();
        let mut number = 0;
        let mut next = || -> Arc<[Record]> {
            let records = (number..number + readings)
                .map(|number| record(number, 1_000))
                .collect();
            number += readings;
            records
        };
        group.throughput(Throughput::Elements(readings));
        group.bench_function(
            format!("{readings} readings, {workers} workers"),
            |bencher| {
                let run = |records: Arc<[Record]>| {
                    engine.submit(records).unwrap();
                    epochs.recv().unwrap()
                };
                bencher.iter_batched(&mut next, run, BatchSize::SmallInput);
            },
        );
        engine.close(None).unwrap();
    }
    group.finish();
}

criterion_group!(benches, step, epoch);
criterion_main!(benches);
