//! Tests that stand in rule files: a fictitious day of readings and the transitions they must lead to.
//! Owns running and comparing; `language` reads them. Uses the engine like everybody else.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use citywatch_model::{
    Body, Mode, Name, Record, RegistryChange, RuleSource, Sensor, Time, Transition, TransitionKind,
    Zones,
};

use crate::ast::RuleSet;
use crate::engine::Stage;
use crate::language::{self, Expected, MIDNIGHT, Scenario};
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

/// Runs the tests of all rules, each with its rule alone in force, together with the derived series of
/// all files.
///
/// # Errors
/// Every mistake of every file, as [`compile`](crate::compile) reports them; then no test is run.
pub fn run_scenarios(sources: &[RuleSource]) -> Result<ScenarioReport, Problems> {
    let files = language::read(sources)?;
    let mut report = ScenarioReport::default();
    for compiled in files.rules.values() {
        // a rule that is off has its tests all the same; its mode changes none of what it computes
        let mut rule = compiled.rule.clone();
        rule.info.mode = Mode::Live;
        let rules = Arc::new(RuleSet {
            rules: vec![Arc::new(rule)],
            derived: files.derived.clone(),
        });
        for test in &compiled.tests {
            match run(&rules, compiled.rule.info.id, test) {
                None => report.passed += 1,
                Some(failure) => report.failed.push(failure),
            }
        }
    }
    Ok(report)
}

/// `None` if it came out as written.
fn run(rules: &Arc<RuleSet>, rule: Name, test: &Scenario) -> Option<ScenarioFailure> {
    let mut stage = Stage::new();
    stage.set_rules(Arc::clone(rules));
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
    let of_rule = transitions.iter().filter(|one| one.rule == rule);
    let mut got: Vec<_> = of_rule.map(as_written).collect();
    let mut expected = test.expected.clone();
    // who comes first within a moment is no matter of the rule
    got.sort_by_key(|one| (one.time, one.subject));
    expected.sort_by_key(|one| (one.time, one.subject));
    (got != expected).then(|| ScenarioFailure {
        file: test.file.clone(),
        line: test.line,
        rule,
        test: test.name.clone(),
        expected: listed(&expected),
        got: listed(&got),
    })
}

/// The day as the journal would hold it.
fn bodies(test: &Scenario) -> Vec<(Time, Body)> {
    let register = |sensors: Vec<Sensor>, zones: Option<Zones>| {
        Body::Registry(Arc::new(RegistryChange {
            upsert: sensors,
            zones,
            ..RegistryChange::default()
        }))
    };
    let zones = (test.zones != Zones::default()).then(|| test.zones.clone());
    let mut bodies = vec![
        (MIDNIGHT, register(test.declared.clone(), zones)),
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
            bodies.push((observation.time, register(sensor.collect(), None)));
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
