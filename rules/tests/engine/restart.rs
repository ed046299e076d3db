//! An engine that is snapshotted and resumed anywhere, by any number of workers, goes on as if nothing had been.

use std::path::Path;
use std::sync::{Arc, Mutex};

use citywatch_model::{Record, Time, Transition};
use citywatch_rules::{Engine, Epoch, Snapshot, Stage};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::equivalence::stream;
use crate::support::{restarted, staged};

/// What engines make of `records`: each takes up to a place, with a number of workers and epochs of a length, and
/// leaves a snapshot to the next.
fn relayed(
    records: &[Record],
    end: Option<Time>,
    legs: &[(usize, usize, usize)],
) -> Vec<Transition> {
    let found: Arc<Mutex<Vec<Transition>>> = Arc::default();
    let mut snapshot: Option<Snapshot> = None;
    let mut done = 0;
    for (number, (until, workers, epoch)) in legs.iter().enumerate() {
        let left: Arc<Mutex<Option<Snapshot>>> = Arc::default();
        let (keep, leave) = (Arc::clone(&found), Arc::clone(&left));
        let on_epoch = Box::new(move |epoch: Epoch| {
            keep.lock().unwrap().extend(epoch.transitions);
            if let Some(snapshot) = epoch.snapshot {
                assert_eq!(
                    (epoch.position, epoch.clock),
                    (snapshot.position, snapshot.clock)
                );
                *leave.lock().unwrap() = Some(snapshot);
            }
        });
        let engine = match &snapshot {
            Some(snapshot) => Engine::resume(*workers, &snapshot.bytes, on_epoch).unwrap(),
            None => Engine::start(*workers, on_epoch).unwrap(),
        };
        let last = number + 1 == legs.len();
        let until = if last { records.len() } else { *until };
        for records in records[done.min(until)..until].chunks(*epoch) {
            engine.submit(records.into()).unwrap();
        }
        done = done.max(until);
        engine.snapshot().unwrap();
        engine.close(end.filter(|_| last)).unwrap();
        snapshot = left.lock().unwrap().take();
        let head = Snapshot::inspect(&snapshot.as_ref().unwrap().bytes).unwrap();
        let before = done.checked_sub(1).map_or(0, |last| records[last].position);
        assert_eq!(head.position, before);
    }
    std::mem::take(&mut *found.lock().unwrap())
}

/// The state of an engine with `workers`, as a stage would have written it.
fn state(records: &[Record], workers: usize) -> Vec<u8> {
    let left: Arc<Mutex<Option<Snapshot>>> = Arc::default();
    let leave = Arc::clone(&left);
    let on_epoch = Box::new(move |epoch: Epoch| {
        if epoch.snapshot.is_some() {
            *leave.lock().unwrap() = epoch.snapshot;
        }
    });
    let engine = Engine::start(workers, on_epoch).unwrap();
    engine.submit(records.into()).unwrap();
    engine.snapshot().unwrap();
    engine.close(None).unwrap();
    let snapshot = left.lock().unwrap().take().unwrap();
    let stage = Stage::resume(&snapshot.bytes).unwrap();
    stage.snapshot().unwrap().bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stage_goes_on(
        records in stream(),
        places in prop::collection::vec(0..150_usize, 1..6),
        end in prop::option::of(0..600_i64),
    ) {
        let last = records[records.len() - 1].clock.millis();
        let end = end.map(|minutes| Time::from_millis(last + minutes * 60_000));
        let (expected, _) = staged(&records, end);
        let (transitions, state) = restarted(&records, end, &places);
        prop_assert_eq!(&transitions, &expected);
        let (_, undisturbed) = restarted(&records, end, &[]);
        prop_assert_eq!(state, undisturbed);
    }

    #[test]
    fn engines_take_over_from_each_other(
        records in stream(),
        legs in prop::collection::vec((0..150_usize, 1..=4_usize, 1..60_usize), 1..5),
        end in prop::option::of(0..600_i64),
    ) {
        let last = records[records.len() - 1].clock.millis();
        let end = end.map(|minutes| Time::from_millis(last + minutes * 60_000));
        let mut legs = legs;
        for (until, _, _) in &mut legs {
            *until = (*until).min(records.len());
        }
        legs.sort();
        let (expected, _) = staged(&records, end);
        prop_assert_eq!(relayed(&records, end, &legs), expected);
    }

    #[test]
    fn state_hangs_on_nobody_s_number_of_workers(records in stream(), workers in 2..=4_usize) {
        prop_assert_eq!(state(&records, workers), state(&records, 1));
    }
}

/// States to begin with for the fuzz target of snapshots. To be written anew when layout or meaning changes.
#[test]
#[ignore = "writes fuzz/corpus/snapshot"]
fn states_for_fuzzing() {
    let mut runner = TestRunner::deterministic();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/snapshot");
    for number in 0..12 {
        let records = stream().new_tree(&mut runner).unwrap().current();
        std::fs::write(folder.join(format!("stream-{number}")), state(&records, 1)).unwrap();
    }
}
