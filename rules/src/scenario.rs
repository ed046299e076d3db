//! Tests that stand in rule files: a fictitious day of readings and the transitions they must lead to.
//! Owns running and comparing; `language` reads them. Uses the engine like everybody else.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use citywatch_model::{
    Body, Name, Record, RegistryChange, RuleSource, Sensor, Time, Transition, TransitionKind,
};

use crate::ast::{Rule, RuleSet};
use crate::engine::Stage;
use crate::language::{self, Compiled, Expected, MIDNIGHT, Scenario};
use crate::problem::Problems;

/// What the tests of a set of rule files showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScenarioReport {
    /// How many tests came out as written.
    pub passed: usize,
    /// The others.
    pub failed: Vec<ScenarioFailure>,
}

/// A test that did not come out as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioFailure {
    /// The file that it stands in.
    pub file: String,
    /// The line where it begins, from 1.
    pub line: u32,
    /// The rule's id.
    pub rule: Name,
    /// The test's name.
    pub test: String,
    /// What should have happened, in the notation of `expect:`; empty for nothing.
    pub expected: String,
    /// What happened, in the same notation.
    pub got: String,
}

/// Runs the tests of all rules, each with its rule alone in force.
///
/// # Errors
/// Every mistake of every file, as [`compile`](crate::compile) reports them; then no test is run.
pub fn run_scenarios(sources: &[RuleSource]) -> Result<ScenarioReport, Problems> {
    let compiled = language::read(sources)?;
    let mut report = ScenarioReport::default();
    for Compiled { rule, tests } in compiled.values() {
        for test in tests {
            match run(rule, test) {
                None => report.passed += 1,
                Some(failure) => report.failed.push(failure),
            }
        }
    }
    Ok(report)
}

/// `None` if it came out as written.
fn run(rule: &Arc<Rule>, test: &Scenario) -> Option<ScenarioFailure> {
    let mut stage = Stage::new();
    stage.set_rules(Arc::new(RuleSet {
        rules: vec![Arc::clone(rule)],
    }));
    let mut transitions = Vec::new();
    for ((clock, body), position) in bodies(test).into_iter().zip(1..) {
        stage.step(
            &Record {
                position,
                clock,
                body,
            },
            &mut transitions,
        );
    }
    stage.finish(test.until, &mut transitions);
    let mut got: Vec<_> = transitions.iter().map(as_written).collect();
    let mut expected = test.expected.clone();
    // who comes first within a moment is no matter of the rule
    got.sort_by_key(|one| (one.time, one.subject));
    expected.sort_by_key(|one| (one.time, one.subject));
    (got != expected).then(|| ScenarioFailure {
        file: test.file.clone(),
        line: test.line,
        rule: rule.info.id,
        test: test.name.clone(),
        expected: listed(&expected),
        got: listed(&got),
    })
}

/// The day as the journal would hold it.
fn bodies(test: &Scenario) -> Vec<(Time, Body)> {
    let register = |sensors: Vec<Sensor>| {
        Body::Registry(Arc::new(RegistryChange {
            upsert: sensors,
            ..RegistryChange::default()
        }))
    };
    let mut bodies = vec![
        (MIDNIGHT, register(test.declared.clone())),
        (MIDNIGHT, Body::Start),
    ];
    let mut known: BTreeSet<Name> = test.declared.iter().map(|sensor| sensor.id).collect();
    for observation in &test.observations {
        if known.insert(observation.sensor) {
            let sensor = test
                .undeclared
                .iter()
                .filter(|sensor| sensor.id == observation.sensor)
                .cloned();
            bodies.push((observation.time, register(sensor.collect())));
        }
        bodies.push((observation.time, Body::Observation(observation.clone())));
    }
    bodies
}

fn as_written(transition: &Transition) -> Expected {
    Expected {
        time: transition.time,
        subject: transition.subject,
        kind: transition.kind,
        level: (transition.kind != TransitionKind::Clear).then_some(transition.level),
    }
}

fn listed(all: &[Expected]) -> String {
    all.iter()
        .map(Expected::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

impl fmt::Display for ScenarioFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |text: &str| {
            if text.is_empty() {
                "nothing".to_owned()
            } else {
                text.to_owned()
            }
        };
        writeln!(
            f,
            "{}:{}: rule `{}`, test `{}`",
            self.file, self.line, self.rule, self.test
        )?;
        writeln!(f, "  expected: {}", or_nothing(&self.expected))?;
        write!(f, "  got:      {}", or_nothing(&self.got))
    }
}
