//! What goes into the dataflow and comes out of it, epoch by epoch: merging controls with records by position
//! on the way in, and bringing what the workers found into one order on the way out.

use std::sync::Arc;

use citywatch_model::{Position, Record, Time, Transition};
use serde::{Deserialize, Serialize};

use crate::engine::Counts;
use crate::engine::core::{Control, Core};
use crate::engine::counts::Tally;

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
}

/// Called on the engine's own thread. While it runs, the engine stands still.
pub type OnEpoch = Box<dyn FnMut(Epoch) + Send>;

/// Records of an epoch and, in its last epoch, where a backtest's clock ends.
pub(crate) type Records = (Arc<[Record]>, Option<Time>);

/// Controls of an epoch, each with the position of its record.
pub(crate) type Controls = Arc<[(Position, Control)]>;

/// One epoch on its way in, shared by all workers.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub records: Records,
    pub controls: Controls,
}

/// What one worker found in one epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    position: Position,
    clock: Time,
    transitions: Vec<Transition>,
    counts: Counts,
}

impl Part {
    /// Steps `core` through an epoch. Both lists are in order of positions; a control follows the record that
    /// carries its position.
    pub(crate) fn of(core: &mut Core, records: &[Records], controls: &[Controls]) -> Part {
        let mut transitions = Vec::new();
        let mut controls = controls.iter().flat_map(|list| list.iter()).peekable();
        for (records, end) in records {
            for record in records.iter() {
                while let Some((_, control)) =
                    controls.next_if(|(position, _)| *position < record.position)
                {
                    core.control(control, &mut transitions);
                }
                core.step(record, &mut transitions);
                while let Some((_, control)) =
                    controls.next_if(|(position, _)| *position == record.position)
                {
                    core.control(control, &mut transitions);
                }
            }
            if let Some(end) = end {
                core.finish(*end, &mut transitions);
            }
        }
        let (position, clock) = core.reached();
        Part {
            position,
            clock,
            transitions,
            counts: core.take_counts(),
        }
    }
}

impl Epoch {
    /// What all workers found together.
    pub(crate) fn merged(parts: Vec<Part>) -> Epoch {
        let mut tally = Tally::default();
        let mut epoch = Epoch {
            position: 0,
            clock: Time::MIN,
            transitions: Vec::new(),
            counts: Counts::default(),
        };
        for mut part in parts {
            epoch.position = epoch.position.max(part.position);
            epoch.clock = epoch.clock.max(part.clock);
            epoch.transitions.append(&mut part.transitions);
            tally.add(part.counts);
        }
        // stable: what one rule does at one subject comes from one worker, in order already
        epoch.transitions.sort_by_key(|transition| {
            (
                transition.time,
                transition.position,
                transition.rule,
                transition.subject,
            )
        });
        epoch.counts = tally.newest();
        epoch
    }
}
