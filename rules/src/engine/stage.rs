//! All sensors on the caller's own thread, record by record: for rule tests, and the yardstick of the dataflow.

use std::sync::Arc;

use citywatch_model::{Body, Record, Time, Transition};

use super::core::{Control, Core, Share};
use super::counts::Counts;
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
            ended: Vec::new(),
        }
    }

    /// From here on exactly `rules` are in force. Alerts that this ends come out with the next call.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        self.core.control(&Control::Rules(rules), &mut self.ended);
    }

    /// Reads one record and appends what it causes, in order. `Body::Rules` that does not compile leaves the
    /// rules in force as they are.
    pub fn step(&mut self, record: &Record, out: &mut Vec<Transition>) {
        out.append(&mut self.ended);
        self.core.step(record, out);
        let control = match &record.body {
            Body::Registry(change) => Some(Control::Registry(Arc::clone(change))),
            Body::Rules(sources) => crate::compile(sources)
                .ok()
                .map(|rules| Control::Rules(Arc::new(rules))),
            Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => None,
        };
        if let Some(control) = control {
            self.core.control(&control, out);
        }
    }

    /// The clock ends: fires what is due up to and including `end`.
    pub fn finish(&mut self, end: Time, out: &mut Vec<Transition>) {
        out.append(&mut self.ended);
        self.core.finish(end, out);
    }

    /// Counts since the beginning, with every unit mistake named.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.core.counts()
    }
}
