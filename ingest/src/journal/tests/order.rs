//! Positions, clocks and blocks: across a restart, in large appends, in quiet times, after a cut.

use std::time::Duration;

use citywatch_model::{Body, Time};
use tokio::time::timeout;

use super::super::testing::reading_at;
use super::super::{JournalConfig, JournalError};
use super::{LIMIT, assert_gapless, config, driven, open, read};

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
