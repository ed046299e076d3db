//! The history at its boundary.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use citywatch_model::{Body, Name, Observation, Position, Record, Time, Value, flags, name};
use proptest::prelude::*;

use super::{History, HistoryCount, HistoryError};
use crate::journal::testing::{SmallDisk, observation_at, reading_at};
use crate::rejected::{Reason, RejectedPayload, Rejection};
use crate::{Clock, Journal, JournalConfig};

const ALWAYS: (Time, Time) = (Time::MIN, Time::MAX);

fn open(dir: &Path) -> History {
    History::open(dir, &prometheus::Registry::new()).unwrap()
}

fn record(position: Position, observation: Observation) -> Record {
    Record {
        position,
        clock: observation.arrival,
        body: Body::Observation(observation),
    }
}

fn records(first: Position, readings: &[(&str, i64, f64)]) -> Vec<Record> {
    readings
        .iter()
        .zip(first..)
        .map(|((sensor, millis, value), position)| {
            record(position, observation_at(sensor, *millis, *value))
        })
        .collect()
}

fn values(history: &History, sensor: &str) -> Vec<(i64, f64)> {
    let readings = history
        .readings(name(sensor), name("methane"), ALWAYS, usize::MAX)
        .unwrap();
    readings
        .iter()
        .map(|reading| (reading.time.millis(), reading.value))
        .collect()
}

fn count(readings: u64, duplicates: u64, conflicts: u64) -> HistoryCount {
    HistoryCount {
        readings,
        duplicates,
        conflicts,
    }
}

#[test]
fn the_first_value_wins_across_batches_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    history
        .apply(&records(
            1,
            &[
                ("a", 10, 1.0),
                ("a", 10, 1.0),
                ("a", 10, 2.0),
                ("a", -5, 3.0),
            ],
        ))
        .unwrap();
    assert_eq!((history.cursor(), history.count()), (4, count(2, 1, 1)));
    drop(history);

    let history = open(dir.path());
    assert_eq!((history.cursor(), history.count()), (4, count(2, 1, 1)));
    history
        .apply(&records(
            5,
            &[
                ("a", 10, 9.0),
                ("a", -5, 3.0),
                ("a", 20, 4.0),
                ("b", 10, 5.0),
            ],
        ))
        .unwrap();
    assert_eq!((history.cursor(), history.count()), (8, count(4, 2, 2)));
    assert_eq!(values(&history, "a"), [(-5, 3.0), (10, 1.0), (20, 4.0)]);
    assert_eq!(values(&history, "b"), [(10, 5.0)]);
    assert_eq!(values(&history, "never"), []);
}

#[test]
fn records_below_the_cursor_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let all = records(1, &[("a", 10, 1.0), ("a", 20, 2.0), ("a", 30, 3.0)]);
    history.apply(&all[..2]).unwrap();
    history.apply(&all).unwrap();
    history.apply(&all).unwrap();
    assert_eq!((history.cursor(), history.count()), (3, count(3, 0, 0)));
}

#[test]
fn units_flags_and_arrival_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let value = |measurement, value, unit| Value {
        measurement: name(measurement),
        value,
        unit: name(unit),
    };
    let observation = Observation {
        sensor: name("pit-7"),
        time: Time::from_millis(1_000),
        arrival: Time::from_millis(4_500),
        flags: flags::UNKNOWN_SENSOR | flags::IMPLAUSIBLE,
        values: [
            value("temperature", 20.5, "Cel"),
            value("methane", -999.0, ""),
        ]
        .into_iter()
        .collect(),
    };
    open(dir.path()).apply(&[record(1, observation)]).unwrap();

    let history = open(dir.path());
    assert_eq!(history.sensors(), [name("pit-7")]);
    assert_eq!(
        history.measurements(name("pit-7")),
        [name("methane"), name("temperature")]
    );
    insta::assert_debug_snapshot!(history.newest(name("pit-7")).unwrap());
    assert_eq!(history.newest(name("nobody")).unwrap(), []);
}

#[test]
fn a_chart_keeps_the_extremes() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let mut all: Vec<_> = (0..100)
        .map(|i| ("a", i * 10, f64::from(i as i32 % 10)))
        .collect();
    all[42].2 = 77.0;
    history.apply(&records(1, &all)).unwrap();
    let range = (Time::from_millis(0), Time::from_millis(999));
    let buckets = history
        .series(name("a"), name("methane"), range, 10)
        .unwrap();
    assert_eq!(buckets.len(), 10);
    assert!(
        buckets
            .iter()
            .all(|bucket| bucket.count == 10 && bucket.min == 0.0 && bucket.last == 9.0)
    );
    let highest: Vec<f64> = buckets.iter().map(|bucket| bucket.max).collect();
    assert_eq!(highest, [9.0, 9.0, 9.0, 9.0, 77.0, 9.0, 9.0, 9.0, 9.0, 9.0]);
    assert!((buckets[0].mean - 4.5).abs() < 1e-9);
    assert_eq!(buckets[9].time.millis(), 990);

    let all = history
        .series(name("a"), name("methane"), ALWAYS, 1)
        .unwrap();
    assert_eq!((all.len(), all[0].count), (1, 100));
    let backwards = (range.1, range.0);
    assert_eq!(
        history
            .series(name("a"), name("methane"), backwards, 10)
            .unwrap(),
        []
    );
    assert_eq!(
        history
            .readings(name("a"), name("methane"), backwards, 10)
            .unwrap(),
        []
    );
}

#[test]
fn a_folder_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let _history = open(dir.path());
    let second = History::open(dir.path(), &prometheus::Registry::new());
    assert_eq!(
        second.err(),
        Some(HistoryError::Locked {
            path: dir.path().to_owned()
        })
    );
}

#[test]
fn a_full_disk_is_told_and_heals_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path()) else {
        return;
    };
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let history = open(&dir.path().join("history"));
    let batch = |round: i64| {
        let readings: Vec<_> = (0..5_000)
            .map(|i| ("a", round * 5_000 + i, i as f64))
            .collect();
        records((round * 5_000 + 1) as Position, &readings)
    };
    let full = (0..).find(|round| match history.apply(&batch(*round)) {
        Ok(()) => false,
        Err(error) => matches!(error, HistoryError::Storage { .. }),
    });
    std::fs::remove_file(&ballast).unwrap();
    let full = full.unwrap();
    history.apply(&[]).unwrap();
    let first_missing = i64::try_from(history.cursor()).unwrap() / 5_000;
    assert!(first_missing <= full + 1, "{first_missing} {full}");
    for round in first_missing..=full + 1 {
        history.apply(&batch(round)).unwrap();
    }
    assert_eq!(history.count(), count((full as u64 + 2) * 5_000, 0, 0));
}

#[test]
fn the_newest_rejected_payloads_survive() {
    let dir = tempfile::tempdir().unwrap();
    let payload = |number: usize| RejectedPayload {
        time: Time::from_millis(number as i64),
        door: "http".to_owned(),
        source: "127.0.0.1".to_owned(),
        topic: None,
        payload: number.to_string(),
        payload_bytes: 5,
        rejections: vec![Rejection {
            index: None,
            reason: Reason::MalformedJson,
            detail: "no".to_owned(),
        }],
        rejection_count: 1,
    };
    let history = open(dir.path());
    for number in 0..10_050 {
        history.keep_rejected(&payload(number)).unwrap();
    }
    drop(history);
    let history = open(dir.path());
    history.keep_rejected(&payload(10_050)).unwrap();
    assert_eq!(
        history.rejected(2).unwrap(),
        [payload(10_050), payload(10_049)]
    );
    let all = history.rejected(usize::MAX).unwrap();
    assert_eq!((all.len(), all.last()), (10_000, Some(&payload(51))));
}

#[tokio::test]
async fn it_follows_the_journal_and_drains_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(dir.path().join("journal"))
    };
    let journal = Journal::open(config, Clock::wall(), &prometheus::Registry::new()).unwrap();
    let history = open(&dir.path().join("history"));
    let following = tokio::spawn({
        let (history, journal) = (history.clone(), journal.clone());
        async move { history.follow(&journal).await }
    });
    for i in 0..500 {
        journal
            .append(vec![reading_at("a", i, 1.0), reading_at("b", i, 2.0)])
            .await
            .unwrap();
    }
    let last = journal.last();
    journal.close().await;
    tokio::time::timeout(Duration::from_secs(20), following)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(history.cursor() >= last);
    assert_eq!(history.count(), count(1_000, 0, 0));
}

#[tokio::test]
async fn another_journal_is_added_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(&dir.path().join("history"));
    history.apply(&records(900, &[("a", 1, 1.0)])).unwrap();
    let config = JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(dir.path().join("journal"))
    };
    let journal = Journal::open(config, Clock::wall(), &prometheus::Registry::new()).unwrap();
    journal
        .append(vec![reading_at("a", 1, 1.0), reading_at("a", 2, 2.0)])
        .await
        .unwrap();
    journal.clone().close().await;
    history.follow(&journal).await.unwrap();
    assert_eq!(values(&history, "a"), [(1, 1.0), (2, 2.0)]);
    assert_eq!(history.count(), count(2, 1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However records are cut into batches, the history is what a plain map of first values would be, and
    /// it comes back in the order of time and sensor.
    #[test]
    fn it_equals_a_map_of_first_values(
        readings in prop::collection::vec((0usize..4, -20i64..20, 0u8..3), 1..120),
        batch in 1usize..40,
        range in (-25i64..25, -25i64..25),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sensors = ["d", "a", "c", "b"];
        let all: Vec<_> = readings
            .iter()
            .map(|(sensor, time, value)| (sensors[*sensor], *time * 3_600_000, f64::from(*value)))
            .collect();
        let mut expected: BTreeMap<(i64, &str), f64> = BTreeMap::new();
        let (mut duplicates, mut conflicts) = (0, 0);
        for (sensor, time, value) in &all {
            match expected.get(&(*time, sensor)) {
                None => drop(expected.insert((*time, sensor), *value)),
                Some(first) if first == value => duplicates += 1,
                Some(_) => conflicts += 1,
            }
        }
        let history = open(dir.path());
        for chunk in records(1, &all).chunks(batch) {
            history.apply(chunk).unwrap();
        }
        prop_assert_eq!(history.count(), count(expected.len() as u64, duplicates, conflicts));
        let (from, to) = (range.0 * 3_600_000, range.1 * 3_600_000);
        let found = history.observations(Time::from_millis(from), Time::from_millis(to));
        let found: Vec<(i64, Name, f64)> = found
            .map(Result::unwrap)
            .map(|observation| (observation.time.millis(), observation.sensor, observation.values[0].value))
            .collect();
        let wanted: Vec<(i64, Name, f64)> = expected
            .iter()
            .filter(|((time, _), _)| (from..=to).contains(time))
            .map(|((time, sensor), value)| (*time, name(sensor), *value))
            .collect();
        prop_assert_eq!(found, wanted);
    }
}
