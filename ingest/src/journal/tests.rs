//! The journal at its boundary, by subject; here what the subjects share. Killed processes stand in
//! `ingest/tests/kill.rs`.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use citywatch_model::{Position, Record, Time};
use tokio::time::timeout;

use super::{Journal, JournalConfig, Reader};
use crate::Clock;

mod errors;
mod order;
mod readers;

const LIMIT: Duration = Duration::from_secs(20);

fn config(dir: &Path) -> JournalConfig {
    JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(dir)
    }
}

fn open(config: JournalConfig, clock: Clock) -> Journal {
    Journal::open(config, clock, &prometheus::Registry::new()).unwrap()
}

fn driven(millis: i64) -> Clock {
    Clock::driven(Time::from_millis(millis))
}

async fn read(reader: &mut Reader, last: Position) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while reader.position() < last {
        let batch = timeout(LIMIT, reader.next()).await.unwrap().unwrap();
        assert!(!batch.is_empty() && batch.len() <= super::BLOCK_RECORDS);
        records.extend_from_slice(&batch);
    }
    records
}

fn assert_gapless(records: &[Record], after: Position) {
    let mut clock = Time::MIN;
    for (record, position) in records.iter().zip(after + 1..) {
        assert_eq!(record.position, position);
        assert!(record.clock >= clock, "the clock falls at {position}");
        clock = record.clock;
    }
}
