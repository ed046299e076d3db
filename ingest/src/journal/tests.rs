//! The journal at its boundary: restart, readers, errors. Killed processes stand in `tests/kill.rs`.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use citywatch_model::{Body, Position, Record, Time};
use proptest::prelude::*;
use tokio::time::timeout;

use super::testing::{SmallDisk, reading, reading_at};
use super::{Journal, JournalConfig, JournalError, Reader};
use crate::Clock;

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

#[tokio::test]
async fn positions_and_clocks_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(config(dir.path()), driven(5_000));
    assert_eq!(
        (journal.first(), journal.last(), journal.last_clock()),
        (1, 0, Time::MIN)
    );
    assert_eq!(
        journal
            .append(vec![Body::Start, reading_at("s", 9_000, 1.0)])
            .await,
        Ok(2)
    );
    journal.close().await;

    // the machine's clock was set back while the service was down
    let journal = open(config(dir.path()), driven(1_000));
    assert_eq!(
        (
            journal.first(),
            journal.last(),
            journal.last_clock().millis()
        ),
        (1, 2, 9_000)
    );
    assert_eq!(journal.append(vec![Body::Start]).await, Ok(3));
    assert_eq!(
        journal.append(vec![reading_at("s", 9_500, 2.0)]).await,
        Ok(4)
    );
    let records = read(&mut journal.reader(0), 4).await;
    assert_gapless(&records, 0);
    let clocks: Vec<_> = records.iter().map(|record| record.clock.millis()).collect();
    assert_eq!(clocks, [5_000, 9_000, 9_000, 9_500]);
    assert_eq!(records[3].body, reading_at("s", 9_500, 2.0));
}

#[tokio::test]
async fn a_caught_up_reader_shares_the_records_and_a_slow_one_reads_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(
        JournalConfig {
            recent_records: 10,
            ..config(dir.path())
        },
        driven(0),
    );
    let (mut first, mut second) = (journal.reader(0), journal.reader(0));
    for i in 0..50 {
        journal
            .append(vec![reading_at("s", i, i as f64)])
            .await
            .unwrap();
        if i == 0 {
            let (a, b) = (first.next().await.unwrap(), second.next().await.unwrap());
            assert!(
                Arc::ptr_eq(&a, &b),
                "both readers get the very same records"
            );
        }
    }
    let records = read(&mut first, 50).await;
    assert_gapless(&records, 1);
    assert_eq!(records.len(), 49);
    assert!(first.try_next().unwrap().is_none());
}

#[tokio::test]
async fn an_append_larger_than_a_block_is_cut_into_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(config(dir.path()), driven(0));
    let bodies: Vec<Body> = (0..25_000).map(|i| reading_at("s", i, 0.0)).collect();
    assert_eq!(journal.append(bodies).await, Ok(25_000));
    assert_gapless(&read(&mut journal.reader(0), 25_000).await, 0);
    journal.close().await;
    let journal = open(config(dir.path()), driven(0));
    assert_gapless(&read(&mut journal.reader(12_345), 25_000).await, 12_345);
}

#[tokio::test]
async fn ticks_come_when_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let clock = driven(1_000);
    let quick = JournalConfig {
        tick_after: Duration::from_millis(5),
        ..config(dir.path())
    };
    let journal = open(quick, clock.clone());
    let mut reader = journal.reader(0);
    let tick = timeout(LIMIT, reader.next()).await.unwrap().unwrap();
    assert_eq!(
        (tick[0].clock.millis(), &tick[0].body),
        (1_000, &Body::Tick)
    );
    clock.set(Time::from_millis(2_000));
    let tick = timeout(LIMIT, reader.next()).await.unwrap().unwrap();
    assert_eq!((tick[0].position, tick[0].clock.millis()), (2, 2_000));
    journal.stop_ticks();
}

#[tokio::test]
async fn a_closed_journal_is_read_to_its_end_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(config(dir.path()), driven(0));
    let (other, mut reader) = (journal.clone(), journal.reader(0));
    journal.append(vec![Body::Start]).await.unwrap();
    journal.close().await;
    assert_eq!(
        other.append(vec![Body::Tick]).await,
        Err(JournalError::Closed)
    );
    assert_eq!(read(&mut reader, 1).await.len(), 1);
    assert_eq!(
        timeout(LIMIT, reader.next()).await.unwrap(),
        Err(JournalError::Closed)
    );
}

#[tokio::test]
async fn a_folder_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = open(config(dir.path()), driven(0));
    let second = Journal::open(config(dir.path()), driven(0), &prometheus::Registry::new());
    assert_eq!(
        second.err(),
        Some(JournalError::Locked {
            path: dir.path().to_owned()
        })
    );
}

#[tokio::test]
async fn low_space_refuses_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(
        JournalConfig {
            free_space_mark: u64::MAX,
            ..config(dir.path())
        },
        driven(0),
    );
    let error = journal.append(vec![Body::Start]).await.unwrap_err();
    assert!(error.may_retry());
    let text = error.to_string();
    for part in [
        dir.path().to_str().unwrap(),
        "bytes are free",
        &u64::MAX.to_string(),
        "lower the mark",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(journal.last(), 0);
}

#[tokio::test]
async fn what_could_not_be_read_again_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(config(dir.path()), driven(0));
    let mut sensor = citywatch_model::Sensor::unknown(citywatch_model::name("s"));
    sensor.min = Some(f64::NAN);
    let change = citywatch_model::RegistryChange {
        upsert: vec![sensor],
        ..Default::default()
    };
    let refused = journal.append(vec![Body::Registry(Arc::new(change))]).await;
    assert!(
        matches!(refused, Err(JournalError::Unwritable { .. })),
        "{refused:?}"
    );
    assert_eq!(journal.append(vec![Body::Start]).await, Ok(1));
}

#[tokio::test]
async fn old_blocks_can_be_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(
        JournalConfig {
            recent_records: 5,
            ..config(dir.path())
        },
        driven(0),
    );
    for i in 0..30 {
        journal
            .append(vec![reading_at("s", i, 0.0), Body::Tick])
            .await
            .unwrap();
    }
    assert_eq!(
        journal.cut_below(20).await,
        Ok(19),
        "the block 19, 20 stays whole"
    );
    assert_eq!(journal.first(), 19);
    assert_gapless(&read(&mut journal.reader(18), 60).await, 18);
    let cut = journal.reader(3).next().await;
    assert_eq!(
        cut,
        Err(JournalError::Cut {
            after: 3,
            first: 19
        })
    );
    journal.close().await;
    let journal = open(config(dir.path()), driven(0));
    assert_eq!((journal.first(), journal.last()), (19, 60));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_promised_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path()) else {
        return;
    };
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let clock = driven(1_790_000_000_000);
    let journal = open(config(&dir.path().join("journal")), clock);
    journal.stop_ticks();
    let big = |i: u64| {
        (0..2_000)
            .map(|j| reading(&format!("sensor-{i}-{j}-{}", "x".repeat(40)), 0.5))
            .collect()
    };
    let mut promised = 0;
    let mut round = 0;
    let error = loop {
        match journal.append(big(round)).await {
            Ok(position) => promised = position,
            Err(error) => break error,
        }
        round += 1;
    };
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    assert_eq!(journal.last(), promised, "nothing unsynced is shown");

    std::fs::remove_file(&ballast).unwrap();
    let healed = timeout(LIMIT, async {
        loop {
            match journal.append(vec![Body::Start]).await {
                Ok(position) => break position,
                Err(error) => assert!(error.may_retry(), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    });
    let last = healed.await.unwrap();
    assert!(last > promised);
    assert_gapless(&read(&mut journal.reader(0), last).await, 0);
    journal.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any interleaving of appends gives one gapless sequence, the same for every reader wherever it
    /// starts, from memory, from disk, and after a restart; neighbours of one append stay neighbours.
    #[test]
    fn every_reader_sees_the_same_sequence(
        appenders in prop::collection::vec(prop::collection::vec(1usize..30, 1..12), 1..6),
        recent in 1usize..200,
        starts in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(interleave(appenders, recent, starts));
    }
}

async fn interleave(appenders: Vec<Vec<usize>>, recent: usize, starts: Vec<prop::sample::Index>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalConfig {
        recent_records: recent,
        waiting_records: 40,
        ..config(dir.path())
    };
    let journal = open(settings.clone(), driven(0));
    journal.stop_ticks();
    let total: usize = appenders.iter().flatten().sum();
    let last = total as Position;
    let live: Vec<_> = starts
        .iter()
        .map(|start| start.index(total + 1) as Position)
        .map(|after| (after, journal.reader(after)))
        .map(|(after, mut reader)| {
            tokio::spawn(async move { (after, read(&mut reader, last).await) })
        })
        .collect();
    let appending: Vec<_> = appenders
        .into_iter()
        .enumerate()
        .map(|(who, sizes)| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut ends = Vec::new();
                for (round, size) in sizes.into_iter().enumerate() {
                    let sensor = format!("{who}/{round}");
                    let bodies = (0..size)
                        .map(|i| reading_at(&sensor, 1_000 * who as i64, i as f64))
                        .collect();
                    ends.push((sensor, size, journal.append(bodies).await.unwrap()));
                }
                ends
            })
        })
        .collect();
    let mut promised = Vec::new();
    for appender in appending {
        promised.extend(appender.await.unwrap());
    }
    let all = read(&mut journal.reader(0), last).await;
    assert_gapless(&all, 0);
    assert_eq!(all.len(), total);
    for (sensor, size, end) in promised {
        let run = &all[end as usize - size..end as usize];
        for (record, i) in run.iter().zip(0..) {
            assert_eq!(
                record.body,
                reading_at(&sensor, clock_of(record), f64::from(i))
            );
        }
    }
    for reader in live {
        let (after, records) = reader.await.unwrap();
        assert_eq!(records, all[after as usize..]);
    }
    journal.close().await;
    let journal = open(settings, driven(0));
    for start in starts {
        let after = start.index(total + 1);
        assert_eq!(
            read(&mut journal.reader(after as Position), last).await,
            all[after..]
        );
    }
}

fn clock_of(record: &Record) -> i64 {
    let Body::Observation(observation) = &record.body else {
        panic!("{record:?}")
    };
    observation.arrival.millis()
}
