//! Reads the recorded sets under `deploy/demo/data`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use citywatch_model::{Observation, Time, Value, name};
use flate2::read::MultiGzDecoder;

/// The folder of a recorded set.
pub fn folder(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/demo/data")
        .join(set)
}

/// The rows of a CSV file, gzipped or not, without its header.
pub fn rows(path: &Path) -> Vec<csv::StringRecord> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    let source: Box<dyn Read> = if gzipped {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    csv::Reader::from_reader(source)
        .into_records()
        .map(Result::unwrap)
        .collect()
}

/// The readings of a set: adjacent rows of one sensor and time are one observation.
pub fn observations(set: &str) -> Vec<Observation> {
    let plain = folder(set).join("readings.csv");
    let rows = rows(&if plain.exists() {
        plain
    } else {
        folder(set).join("readings.csv.gz")
    });
    let mut observations: Vec<Observation> = Vec::new();
    for row in &rows {
        let (time, sensor): (Time, _) = (row[0].parse().unwrap(), name(&row[1]));
        let value = Value {
            measurement: name(&row[3]),
            value: row[4].parse().unwrap(),
            unit: name(&row[5]),
        };
        match observations.last_mut() {
            Some(last) if last.time == time && last.sensor == sensor => last.values.push(value),
            _ => observations.push(Observation {
                sensor,
                time,
                arrival: time,
                flags: 0,
                values: [value].into(),
            }),
        }
    }
    observations
}
