//! The ways to take an engine through records, all of which must give the same: record by record on one thread,
//! in epochs on several, and through crashes.

use std::sync::{Arc, Mutex};

use citywatch_model::{Position, Record, Time, Transition};
use citywatch_rules::{Engine, Epoch, OnEpoch, Snapshot, Stage};
use proptest::prelude::*;

use crate::compare::Case;

/// What an engine makes of records; the case says how many workers, how it is cut, and where it dies.
pub type Run = fn(&[Record], Option<Time>, &Case) -> Vec<Transition>;

/// All that must agree with the reference.
pub const RUNS: [(&str, Run); 3] = [
    ("stage", staged),
    ("engine", engined),
    ("restarts", restarted),
];

/// A life of the service that ends badly. All counts are of records.
#[derive(Debug, Clone)]
pub struct Crash {
    /// From what the ledger has to the snapshot.
    pub to_snapshot: usize,
    /// From there to the last that the ledger commits.
    pub to_commit: usize,
    /// From there to the last that the engine reads.
    pub to_death: usize,
    /// Of the next life.
    pub workers: usize,
    /// Whether the next life finds a snapshot that it can use; without, it begins at the beginning.
    pub usable: bool,
}

/// Some crashes, one after the other.
pub fn crashes() -> impl Strategy<Value = Vec<Crash>> {
    let crash = (
        0..12_usize,
        0..6_usize,
        0..4_usize,
        1..=4_usize,
        prop::bool::weighted(0.8),
    );
    let crash = crash.prop_map(
        |(to_snapshot, to_commit, to_death, workers, usable)| Crash {
            to_snapshot,
            to_commit,
            to_death,
            workers,
            usable,
        },
    );
    prop::collection::vec(crash, 1..4)
}

fn staged(records: &[Record], end: Option<Time>, _: &Case) -> Vec<Transition> {
    let mut stage = Stage::new();
    let mut out = Vec::new();
    for record in records {
        stage.step(record, &mut out);
    }
    if let Some(end) = end {
        stage.finish(end, &mut out);
    }
    out
}

fn engined(records: &[Record], end: Option<Time>, case: &Case) -> Vec<Transition> {
    let (told, on_epoch) = listener();
    let engine = Engine::start(case.workers, on_epoch).unwrap();
    submit(&engine, records, &case.cuts);
    engine.close(end).unwrap();
    let epochs = std::mem::take(&mut *told.lock().unwrap());
    let transitions = epochs.into_iter().flat_map(|epoch| epoch.transitions);
    transitions.collect()
}

/// Lives that end in the middle. The ledger keeps whole epochs up to where it committed, and of the next life only
/// what lies behind that; the engine goes on from the newest snapshot that the ledger has reached.
fn restarted(records: &[Record], end: Option<Time>, case: &Case) -> Vec<Transition> {
    let mut ledger = Ledger::default();
    let mut workers = case.workers;
    let mut resumed = None;
    let mut committed = 0;
    for crash in &case.crashes {
        let ahead = |from: usize, by: usize| (from + by).min(records.len());
        let snapshot = ahead(committed, crash.to_snapshot);
        committed = ahead(snapshot, crash.to_commit);
        let death = ahead(committed, crash.to_death);
        let (engine, told, begun) = born(workers, resumed.as_ref(), records);
        submit(&engine, &records[begun..snapshot], &case.cuts);
        engine.snapshot().unwrap();
        submit(&engine, &records[snapshot..committed], &case.cuts);
        submit(&engine, &records[committed..death], &case.cuts);
        engine.close(None).unwrap();
        let last = records[..committed].last().map_or(0, |last| last.position);
        ledger.commit(std::mem::take(&mut *told.lock().unwrap()), last);
        resumed = crash.usable.then(|| ledger.snapshot.clone()).flatten();
        workers = crash.workers;
    }
    let (engine, told, begun) = born(workers, resumed.as_ref(), records);
    submit(&engine, &records[begun..], &case.cuts);
    engine.close(end).unwrap();
    ledger.commit(std::mem::take(&mut *told.lock().unwrap()), Position::MAX);
    ledger.transitions
}

/// What is never lost.
#[derive(Default)]
struct Ledger {
    position: Position,
    transitions: Vec<Transition>,
    /// The newest that lies at or below the position.
    snapshot: Option<Snapshot>,
}

impl Ledger {
    /// Takes the epochs up to `last`, and skips every transition that it has.
    fn commit(&mut self, epochs: Vec<Epoch>, last: Position) {
        for epoch in epochs.into_iter().filter(|epoch| epoch.position <= last) {
            let new = |transition: &Transition| transition.position > self.position;
            let transitions = epoch.transitions.into_iter().filter(new);
            self.transitions.extend(transitions);
            self.snapshot = epoch.snapshot.or(self.snapshot.take());
        }
        self.position = last;
    }
}

type Told = Arc<Mutex<Vec<Epoch>>>;

fn listener() -> (Told, OnEpoch) {
    let told: Told = Arc::default();
    let keep = Arc::clone(&told);
    (
        told,
        Box::new(move |epoch| keep.lock().unwrap().push(epoch)),
    )
}

/// An engine that goes on from the snapshot, and how many records it has read.
fn born(workers: usize, snapshot: Option<&Snapshot>, records: &[Record]) -> (Engine, Told, usize) {
    let (told, on_epoch) = listener();
    let Some(snapshot) = snapshot else {
        return (Engine::start(workers, on_epoch).unwrap(), told, 0);
    };
    let engine = Engine::resume(workers, &snapshot.bytes, on_epoch).unwrap();
    let read = records.partition_point(|record| record.position <= snapshot.position);
    (engine, told, read)
}

fn submit(engine: &Engine, records: &[Record], cuts: &[usize]) {
    let mut rest = records;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (epoch, after) = rest.split_at((*cut).clamp(1, rest.len()));
        engine.submit(epoch.into()).unwrap();
        rest = after;
    }
}
