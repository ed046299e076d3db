//! What goes into the dataflow and comes out of it, epoch by epoch: merging controls with records by position
//! on the way in, and bringing what the workers found into one order on the way out.

use std::ops::Deref;
use std::sync::Arc;

use citywatch_model::{Position, Record, Time, Transition};
use serde::{Deserialize, Serialize};

use crate::engine::Counts;
use crate::engine::core::{Control, Core, Reached};
use crate::engine::counts::{NAMED_IN_EPOCH, Tally};
use crate::engine::second::{First, Second, in_order};
use crate::engine::snapshot::{CoreSections, Snapshot};

/// What came of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// The last record read.
    pub position: Position,
    /// Its clock; of the last epoch of a backtest, the end of the clock.
    pub clock: Time,
    /// By time, position, rule and subject. What fires at the end of a backtest carries the position after the last.
    pub transitions: Vec<Transition>,
    /// Counts since the epoch before; the newest unit mistakes are named.
    pub counts: Counts,
    /// The state after it, if this is the epoch of [`Engine::snapshot`](crate::Engine::snapshot).
    pub snapshot: Option<Snapshot>,
}

/// Called on the engine's own thread. While it runs, the engine stands still.
pub type OnEpoch = Box<dyn FnMut(Epoch) + Send>;

/// Records of an epoch and, in its last epoch, where a backtest's clock ends.
pub(crate) type Records = (Shared, Option<Time>);

/// Records as they came, whoever holds them.
#[derive(Debug, Clone)]
pub(crate) enum Shared {
    Slice(Arc<[Record]>),
    List(Arc<Vec<Record>>),
}

impl Deref for Shared {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        match self {
            Shared::Slice(records) => records,
            Shared::List(records) => records,
        }
    }
}

/// Controls of an epoch, each with the position of its record.
pub(crate) type Controls = Arc<[(Position, Control)]>;

/// One epoch on its way in, shared by all workers.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub records: Records,
    pub controls: Controls,
    /// Whether the state after it is asked for.
    pub snapshot: bool,
}

/// An epoch that is complete, as every stage reads it: controls stand beside the records that carry them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work {
    pub records: Vec<Records>,
    pub controls: Vec<Controls>,
    /// Whether the state after it is asked for.
    pub snapshot: bool,
}

/// One thing after the other.
enum Event<'a> {
    Record(&'a Record),
    /// At the record that was read last.
    Control(&'a Control),
    /// A backtest's clock ends.
    End(Time),
}

impl Work {
    fn has_controls(&self) -> bool {
        self.controls.iter().any(|list| !list.is_empty())
    }

    /// Both lists are in order of positions; a control follows the record that carries its position.
    fn walk(&self, mut visit: impl FnMut(Event<'_>)) {
        let controls: Vec<_> = self.controls.iter().flat_map(|list| list.iter()).collect();
        let mut waiting = &controls[..];
        for (records, end) in &self.records {
            for record in records.iter() {
                while let [(position, control), rest @ ..] = waiting
                    && *position < record.position
                {
                    visit(Event::Control(control));
                    waiting = rest;
                }
                visit(Event::Record(record));
                while let [(position, control), rest @ ..] = waiting
                    && *position == record.position
                {
                    visit(Event::Control(control));
                    waiting = rest;
                }
            }
            if let Some(end) = end {
                visit(Event::End(*end));
            }
        }
    }
}

/// What one worker found in one epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    reached: Reached,
    transitions: Vec<Transition>,
    counts: Counts,
    state: Option<CoreSections>,
}

impl Part {
    /// Steps `core` through an epoch.
    pub(crate) fn of(core: &mut Core, work: &Work) -> Part {
        let mut transitions = Vec::new();
        work.walk(|event| match event {
            Event::Record(record) => core.step(record, &mut transitions),
            Event::Control(control) => core.control(control, &mut transitions),
            Event::End(end) => core.finish(end, &mut transitions),
        });
        Part {
            reached: core.reached(),
            transitions,
            counts: core.take_counts(),
            state: work.snapshot.then(|| CoreSections::of(core)).flatten(),
        }
    }
}

impl Epoch {
    /// Brings together what all workers found, and takes the second stage through it.
    pub(crate) fn merged(parts: Vec<Part>, work: &Work, second: &mut Second) -> Epoch {
        let mut tally = Tally::default();
        let mut epoch = Epoch {
            position: 0,
            clock: Time::MIN,
            transitions: Vec::new(),
            counts: Counts::default(),
            snapshot: None,
        };
        let mut states = Vec::new();
        let mut found = Vec::new();
        // every worker reads every record
        let reached = parts.first().map(|part| part.reached);
        for mut part in parts {
            epoch.position = epoch.position.max(part.reached.position);
            epoch.clock = epoch.clock.max(part.reached.clock);
            found.append(&mut part.transitions);
            tally.add(part.counts);
            states.push(part.state);
        }
        in_order(&mut found);
        let out = &mut epoch.transitions;
        match reached {
            Some(reached) if second.is_idle() && !work.has_controls() => {
                second.pass(reached, found, out);
            }
            _ => {
                let mut first = First::from(found);
                work.walk(|event| match event {
                    Event::Record(record) => second.step(record, &mut first, out),
                    Event::Control(control) => second.control(control, &mut first, out),
                    Event::End(end) => second.finish(end, &mut first, out),
                });
                in_order(out);
            }
        }
        tally.add(second.take_counts());
        epoch.counts = tally.newest(NAMED_IN_EPOCH);
        // all of them, or it would not be the whole state
        if let (Some(reached), Some(states)) = (reached, states.into_iter().collect()) {
            epoch.snapshot = Snapshot::composed(reached, second, states);
        }
        epoch
    }
}
