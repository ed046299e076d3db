//! What it costs to read recorded readings: lines of Citywatch JSON and rows of CSV, names interned.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs;

use citywatch_ingest::recorded::{Options, open};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const READINGS: u64 = 100_000;
const SENSORS: u64 = 1_000;

/// Number of the sensor, seconds since 1970 and value of each reading.
fn readings() -> impl Iterator<Item = (u64, u64, f64)> {
    (0..READINGS).map(|number| {
        let value = (number as f64 * 0.618_033_988_749_895).fract() * 30.0;
        (number % SENSORS, 1_790_000_000 + number / SENSORS, value)
    })
}

fn parse(criterion: &mut Criterion) {
    let mut plain = String::new();
    let mut many = String::new();
    let mut rows = String::from("time,sensor_id,hazard,measurement,value,unit\n");
    for (sensor, seconds, value) in readings() {
        let (minute, second) = (seconds / 60 % 60, seconds % 60);
        writeln!(
            plain,
            r#"{{"sensor":"s-{sensor:05}","ts":{seconds},"value":{value:.3}}}"#
        )
        .unwrap();
        writeln!(many, r#"{{"sensor":"s-{sensor:05}","ts":{seconds},"values":{{"methane":{value:.3},"temperature":20.5}}}}"#).unwrap();
        writeln!(
            rows,
            "2026-09-21T14:{minute:02}:{second:02}Z,s-{sensor:05},gas,methane,{value:.3},%LEL"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("parse");
    for (file, text, values) in [
        ("plain.jsonl", plain, 1),
        ("values.jsonl", many, 2),
        ("rows.csv", rows, 1),
    ] {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        group.throughput(Throughput::Elements(READINGS * values));
        group.bench_function(file, |bencher| {
            bencher.iter(|| {
                let mut recorded = open(std::slice::from_ref(&path), Options::default()).unwrap();
                let observations = recorded.by_ref().count();
                assert_eq!(recorded.report().readings, READINGS * values);
                observations
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
