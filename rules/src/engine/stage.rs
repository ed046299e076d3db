//! All sensors on the caller's own thread, record by record: for rule tests, and the yardstick of the dataflow.

use std::sync::Arc;

use citywatch_model::{Body, Record, Time, Transition};

use super::core::{Control, Core, Share};
use super::counts::{Counts, Tally};
use super::second::{First, Second, in_order};
use super::snapshot::{CoreSections, Resumed, Snapshot, SnapshotError};
use crate::ast::RuleSet;

/// The engine without threads. Deterministic; does no I/O and asks no clock.
///
/// ```
/// use citywatch_model::{Body, Observation, Record, Time, Value, name};
/// use citywatch_rules::{RuleSource, Stage, compile};
///
/// let text = "rules: [{ id: gas.low, measurement: methane, levels: { orange: value >= 20 } }]";
/// let rules = compile(&[RuleSource { file: "gas.yaml".to_owned(), text: text.to_owned() }])?;
/// let mut stage = Stage::new();
/// stage.set_rules(rules.into());
///
/// let time: Time = "2026-11-22T08:00:00Z".parse()?;
/// let values = [Value { measurement: name("methane"), value: 21.5, unit: name("%LEL") }].into();
/// let observation = Observation { sensor: name("g-1"), time, arrival: time, flags: 0, values };
/// let mut out = Vec::new();
/// stage.step(&Record { position: 1, clock: time, body: Body::Observation(observation) }, &mut out);
/// assert_eq!((out[0].kind.word(), out[0].level.word()), ("raise", "orange"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stage {
    core: Core,
    second: Second,
    /// Alerts that `set_rules` ended, until the next call can hand them out.
    ended: Vec<Transition>,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::new()
    }
}

impl Stage {
    /// No rules, no sensors.
    #[must_use]
    pub fn new() -> Stage {
        Stage {
            core: Core::new(Share::WHOLE),
            second: Second::new(),
            ended: Vec::new(),
        }
    }

    /// Goes on from a snapshot, of a stage or of an engine.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn resume(snapshot: &[u8]) -> Result<Stage, SnapshotError> {
        let Resumed { mut cores, second } = Resumed::read(snapshot, 1)?;
        let core = cores.pop().unwrap_or_else(|| Core::new(Share::WHOLE));
        Ok(Stage {
            core,
            second,
            ended: Vec::new(),
        })
    }

    /// The state after the last record. `None` if `set_rules` has put rules in force, whose texts are not known.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let core = CoreSections::of(&self.core)?;
        Snapshot::composed(self.core.reached(), &self.second, vec![core])
    }

    /// From here on exactly `rules` are in force. Alerts that this ends come out with the next call.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        let mut ended = std::mem::take(&mut self.ended);
        self.control(&Control::Rules(rules, None), &mut ended);
        self.ended = ended;
    }

    /// Reads one record and appends what it causes, in order. `Body::Rules` that does not compile leaves the
    /// rules in force as they are.
    pub fn step(&mut self, record: &Record, out: &mut Vec<Transition>) {
        out.append(&mut self.ended);
        let before = out.len();
        let mut found = Vec::new();
        self.core.step(record, &mut found);
        if self.second.is_idle() {
            self.second.pass(self.core.reached(), found, out);
        } else {
            self.second.step(record, &mut First::from(found), out);
        }
        let control = match &record.body {
            Body::Registry(change) => Some(Control::Registry(Arc::clone(change))),
            Body::Rules(rules) => crate::in_force::for_engine(rules)
                .ok()
                .map(|set| Control::Rules(Arc::new(set), Some(Arc::clone(rules)))),
            Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => None,
        };
        if let Some(control) = control {
            self.control(&control, out);
        }
        in_order(&mut out[before..]);
    }

    /// The clock ends: fires what is due up to and including `end`.
    pub fn finish(&mut self, end: Time, out: &mut Vec<Transition>) {
        out.append(&mut self.ended);
        let before = out.len();
        let mut found = Vec::new();
        self.core.finish(end, &mut found);
        self.second.finish(end, &mut First::from(found), out);
        in_order(&mut out[before..]);
    }

    /// Counts since the beginning, with every mistake named.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut tally = Tally::default();
        tally.add(self.core.counts());
        tally.add(self.second.counts());
        tally.all()
    }

    fn control(&mut self, control: &Control, out: &mut Vec<Transition>) {
        let mut found = Vec::new();
        self.core.control(control, &mut found);
        self.second.control(control, &mut First::from(found), out);
    }
}
