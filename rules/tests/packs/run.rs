//! Readings through the engine with rules in force.

use std::sync::Arc;

use citywatch_model::{Observation, Registry, RuleSource, Transition};
use citywatch_rules::{Setup, backtest, compile};

/// The four packs.
pub fn packs() -> Vec<RuleSource> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs");
    ["flood", "forest_fire", "gas", "water"]
        .map(|pack| {
            let file = format!("{folder}/{pack}.yaml");
            let text = std::fs::read_to_string(&file).unwrap();
            RuleSource { file, text }
        })
        .into()
}

/// The transitions of `rules` on `observations`, in order.
pub fn replay(
    rules: &[RuleSource],
    registry: Registry,
    observations: Vec<Observation>,
) -> Vec<Transition> {
    let rules = compile(rules).unwrap_or_else(|problems| panic!("{problems}"));
    let setup = Setup {
        rules: Arc::new(rules),
        registry,
        workers: 2,
        epoch: 10_000,
    };
    let mut transitions = Vec::new();
    backtest(observations.into_iter(), setup, |transition| {
        transitions.push(transition.clone());
    })
    .unwrap();
    transitions
}

/// One line a transition, for messages and comparisons.
pub fn written<'a>(transitions: impl IntoIterator<Item = &'a Transition>) -> Vec<String> {
    let line = |transition: &Transition| {
        let Transition {
            time,
            kind,
            rule,
            subject,
            level,
            ..
        } = transition;
        format!("{time} {rule} {subject} {kind} {level}")
    };
    transitions.into_iter().map(line).collect()
}
