//! Any bytes are resumed as engine state, with head and checksum made right; the engine runs with what was read.

use citywatch_model::{Body, Observation, Record, Time, Value, name};
use citywatch_rules::Stage;

/// Magic, layout and meaning.
const KNOWN: usize = 14;
const CHECKSUM: usize = 4;

/// Panics if the engine falls over `data`.
pub fn run(data: &[u8]) {
    let Some(good) = Stage::new().snapshot() else {
        unreachable!("a new stage has no rules without text");
    };
    let mut bytes = data.to_vec();
    if bytes.len() < good.bytes.len() {
        return;
    }
    bytes[..KNOWN].copy_from_slice(&good.bytes[..KNOWN]);
    let body = bytes.len() - CHECKSUM;
    let checksum = crc32fast::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    let Ok(mut stage) = Stage::resume(&bytes) else {
        return;
    };
    let (position, clock) = match stage.snapshot() {
        Some(again) => (again.position, again.clock),
        None => unreachable!("a stage that was resumed knows its texts"),
    };
    let mut out = Vec::new();
    for step in 0..8 {
        let time = Time::from_millis(clock.millis() + step as i64 * 600_000);
        let value = |measurement| Value {
            measurement: name(measurement),
            value: step as f64 * 5.0,
            unit: name(""),
        };
        let body = Body::Observation(Observation {
            sensor: name(&format!("s-{}", step % 3)),
            time,
            arrival: time,
            flags: 0,
            values: [value("m"), value("h")].into_iter().collect(),
        });
        let record = Record {
            position: position + 1 + step,
            clock: time,
            body,
        };
        stage.step(&record, &mut out);
    }
    assert!(stage.snapshot().is_some());
}
