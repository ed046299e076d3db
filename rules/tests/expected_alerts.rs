//! Real recorded data: the plain rules give exactly the intervals that were computed independently from their
//! definitions, with any number of workers and however the input is cut.

#![allow(clippy::unwrap_used)]

#[path = "packs/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::{Observation, Registry, RuleSource, Time, Transition, TransitionKind};
use citywatch_rules::{Setup, Summary, backtest, compile};

use recorded::{folder, observations, rows};

/// Rule, sensor, raise and clear; no clear if the alert is open at the end of the data.
type Interval = (String, String, Time, Option<Time>);

/// The intervals of `expected_alerts.csv`, whose columns differ from set to set.
fn expected(set: &str) -> BTreeSet<Interval> {
    let path = folder(set).join("expected_alerts.csv");
    let headers = csv::Reader::from_path(&path)
        .unwrap()
        .headers()
        .unwrap()
        .clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (rule, sensor, raise, clear) = (
        column("rule_id"),
        column("sensor_id"),
        column("raise"),
        column("clear"),
    );
    let interval = |row: csv::StringRecord| {
        let clear = (!row[clear].is_empty()).then(|| row[clear].parse().unwrap());
        (
            row[rule].to_owned(),
            row[sensor].to_owned(),
            row[raise].parse().unwrap(),
            clear,
        )
    };
    rows(&path).into_iter().map(interval).collect()
}

fn intervals(transitions: &[Transition]) -> BTreeSet<Interval> {
    let raised = transitions
        .iter()
        .enumerate()
        .filter(|(_, transition)| transition.kind == TransitionKind::Raise);
    raised
        .map(|(place, raise)| {
            let next = transitions[place + 1..]
                .iter()
                .find(|next| next.rule == raise.rule && next.subject == raise.subject);
            assert!(next.is_none_or(|next| next.kind == TransitionKind::Clear));
            (
                raise.rule.to_string(),
                raise.subject.to_string(),
                raise.time,
                next.map(|clear| clear.time),
            )
        })
        .collect()
}

fn replay(
    observations: &[Observation],
    rules: &str,
    workers: usize,
    epoch: usize,
) -> (Vec<Transition>, Summary) {
    let source = RuleSource {
        file: "plain.yaml".to_owned(),
        text: rules.to_owned(),
    };
    let rules = Arc::new(compile(&[source]).unwrap_or_else(|problems| panic!("{problems}")));
    let mut transitions = Vec::new();
    let setup = Setup {
        rules,
        registry: Registry::default(),
        workers,
        epoch,
    };
    let summary = backtest(observations.iter().cloned(), setup, |transition| {
        transitions.push(transition.clone())
    })
    .unwrap();
    (transitions, summary)
}

#[track_caller]
fn check(set: &str, rules: &str) {
    let observations = observations(set);
    let (transitions, summary) = replay(&observations, rules, 1, 10_000);
    assert_eq!(intervals(&transitions), expected(set), "{set}");
    assert_eq!(
        summary.readings,
        observations
            .iter()
            .map(|observation| observation.values.len() as u64)
            .sum::<u64>()
    );
    assert_eq!(summary.raised as usize, expected(set).len());
    for (workers, epoch) in [(4, 10_000), (1, 1), (4, 1)] {
        let (others, other) = replay(&observations, rules, workers, epoch);
        assert_eq!(
            others, transitions,
            "{set}: {workers} workers, epochs of {epoch}"
        );
        assert_eq!(
            other, summary,
            "{set}: {workers} workers, epochs of {epoch}"
        );
    }
}

#[test]
fn flood_usgs_harvey_2017() {
    check(
        "flood_usgs_harvey_2017",
        "rules:
           - { id: rise3ft60, measurement: gage_height, levels: { orange: rise(60m) >= 3 } }
           - { id: stale60, measurement: gage_height, levels: { blue: age > 60m } }",
    );
}

#[test]
fn gas_metec_ch4_2022() {
    check(
        "gas_metec_ch4_2022",
        "rules:
           - { id: ch4_5ppm, measurement: methane, unit: ppm, levels: { yellow: value >= 5 } }
           - { id: ch4_20ppm, measurement: methane, unit: ppm, levels: { orange: value >= 20 } }",
    );
}

#[test]
fn fire_algerian_2012() {
    check(
        "fire_algerian_2012",
        "rules:
           - { id: fwi_5, measurement: fwi, levels: { blue: value >= 5 } }
           - { id: fwi_20, measurement: fwi, levels: { orange: value >= 20 } }",
    );
}

#[test]
fn fire_pm25_soberanes_2016() {
    check(
        "fire_pm25_soberanes_2016",
        "rules:
           - { id: pm25_very_unhealthy, measurement: pm2_5, levels: { orange: value >= 150.5 } }
           - { id: pm25_hazardous, measurement: pm2_5, levels: { red: value >= 250.5 } }",
    );
}

#[test]
fn fire_raws_saddle_mountain_2020() {
    check(
        "fire_raws_saddle_mountain_2020",
        "rules:
           - { id: red_flag, measurement: wind_gust, levels: { red: relative_humidity <= 20 and value >= 11.2 } }",
    );
}

#[test]
fn every_set_with_expected_alerts_is_tested() {
    let sets = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let with_alerts = sets
        .filter(|path| path.join("expected_alerts.csv").exists())
        .count();
    assert_eq!(with_alerts, 5, "a new set needs a test here");
}
