//! Readers: each sees every record once and in order, wherever it starts and however far behind it is.

use std::sync::Arc;

use citywatch_model::{Body, Position, Record};
use proptest::prelude::*;
use tokio::time::timeout;

use super::super::testing::reading_at;
use super::super::{JournalConfig, JournalError};
use super::{LIMIT, assert_gapless, config, driven, open, read};

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
