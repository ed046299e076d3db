//! Backtests from readings to report: small made-up series for the arithmetic, recorded ones for the whole.

#![allow(clippy::unwrap_used)]

mod labelled;
mod recorded;
mod told;

use std::ops::ControlFlow;
use std::sync::Arc;

use citywatch_model::{Observation, Registry, RuleSource, Time, Transition, Value, name};
use citywatch_rules::ast::RuleSet;
use jiff::tz::TimeZone;

use super::{BacktestError, Report, Task, run};

/// Rules `id: condition of the level red`, of the measurement `m`.
fn rules(all: &[(&str, &str)]) -> Arc<RuleSet> {
    let rule = |(id, condition): &(&str, &str)| {
        format!(
            "  - {{ id: {id}, hazard: flood, measurement: m, levels: {{ red: '{condition}' }} }}\n"
        )
    };
    compile(&format!(
        "rules:\n{}",
        all.iter().map(rule).collect::<String>()
    ))
}

fn compile(text: &str) -> Arc<RuleSet> {
    let source = RuleSource {
        file: "t.yaml".to_owned(),
        text: text.to_owned(),
    };
    Arc::new(citywatch_rules::compile(&[source]).unwrap_or_else(|problems| panic!("{problems}")))
}

/// A time of the first of January 2026, UTC.
fn at(time: &str) -> Time {
    format!("2026-01-01T{time}:00Z").parse().unwrap()
}

/// `sensor 00:10 5 | 00:20 6`, sensors one a line.
fn readings(text: &str) -> Vec<Observation> {
    let mut observations = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sensor, series) = line.split_once(' ').unwrap();
        for reading in series.split('|') {
            let (time, value) = reading.trim().split_once(' ').unwrap();
            let value = Value {
                measurement: name("m"),
                value: value.parse().unwrap(),
                unit: name(""),
            };
            observations.push(Observation {
                sensor: name(sensor),
                time: at(time),
                arrival: at(time),
                flags: 0,
                values: [value].into(),
            });
        }
    }
    observations.sort_by_key(|observation| observation.time);
    observations
}

fn task<'a>(rules: &Arc<RuleSet>, registry: &'a Registry) -> Task<'a> {
    Task {
        rules: Arc::clone(rules),
        registry,
        against: None,
        labels: None,
        plans: None,
        timezone: TimeZone::UTC,
        positions: 1,
        workers: 1,
        epoch: 100,
    }
}

fn replay(task: &Task<'_>, observations: &[Observation]) -> Report {
    let source = observations.iter().cloned().map(Ok::<_, String>);
    run(task, source, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn no_readings_give_an_empty_report() {
    let (rules, registry) = (rules(&[("t.high", "value >= 3")]), Registry::default());
    let labels = super::Labels::default();
    let task = Task {
        labels: Some(&labels),
        against: Some(Arc::clone(&rules)),
        ..task(&rules, &registry)
    };
    let report = replay(&task, &[]);
    insta::assert_snapshot!(report);
}

#[test]
fn every_set_of_rules_sees_the_same_readings_however_many_workers_run() {
    let tested = rules(&[("t.high", "value >= 3"), ("t.new", "value >= 5")]);
    let in_force = rules(&[("t.high", "value >= 4"), ("t.old", "value >= 5")]);
    let registry = Registry::default();
    let observations = readings(
        "a 00:00 1 | 00:10 3.5 | 00:20 4.5 | 00:30 5.5 | 00:40 1 | 01:00 3.2 | 01:10 0
         b 00:00 5 | 00:10 0 | 00:20 4",
    );
    let mut task = Task {
        against: Some(in_force),
        ..task(&tested, &registry)
    };
    let report = replay(&task, &observations);
    insta::assert_snapshot!(report);
    (task.workers, task.epoch) = (2, 1);
    assert_eq!(replay(&task, &observations), report);
}

#[test]
fn inputs_that_never_meet_are_told_with_what_to_do() {
    let rules = compile(
        "derive:\n  - { id: net, measurement: n, value: m - out }\nrules:\n  - { id: t, measurement: n, levels: { red: value >= 3 } }\n",
    );
    let mut observations = readings(
        &(0..20)
            .map(|minute| format!("a 00:{minute:02} 5\n"))
            .collect::<String>(),
    );
    for observation in observations.iter_mut().skip(1).step_by(2) {
        observation.values[0].measurement = name("out");
    }
    let report = replay(&task(&rules, &Registry::default()), &observations);
    assert_eq!(report.data.incomplete, 4);
    let text = report.to_string();
    for told in [
        "4 event times for which a derived series lacked an input",
        "  net: out of a lacked 2 times; if its inputs come at different times, give the series `align`",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn whoever_takes_the_transitions_may_end_the_backtest() {
    let (rules, registry) = (rules(&[("t.high", "value >= 3")]), Registry::default());
    let mut task = task(&rules, &registry);
    task.epoch = 1;
    let mut taken = 0;
    let endless = (0..).map(|minute| {
        let mut observation = readings("a 00:00 0").remove(0);
        observation.time = Time::from_millis(minute * 60_000);
        observation.values[0].value = if minute % 2 == 0 { 9.0 } else { 0.0 };
        Ok::<_, String>(observation)
    });
    let mut out = |_: &Transition| {
        taken += 1;
        ControlFlow::Break(())
    };
    let ended = run(&task, endless, &mut out);
    assert!(matches!(ended, Err(BacktestError::Stopped)), "{ended:?}");
    assert_eq!(taken, 1);
}

#[test]
fn a_source_that_fails_is_no_report() {
    let (rules, registry) = (rules(&[("t.high", "value >= 3")]), Registry::default());
    let source = readings("a 00:00 1")
        .into_iter()
        .map(Ok)
        .chain([Err("disk")]);
    let error = run(&task(&rules, &registry), source, &mut |_| {
        ControlFlow::Continue(())
    });
    let message = error.unwrap_err().to_string();
    assert_eq!(message, "the readings end too soon: disk");
}
