//! What the journal refuses, and that nothing promised is lost by it.

use std::sync::Arc;

use citywatch_model::Body;
use tokio::time::timeout;

use super::super::testing::{SmallDisk, reading};
use super::super::{Journal, JournalConfig, JournalError};
use super::{LIMIT, assert_gapless, config, driven, open, read};

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
