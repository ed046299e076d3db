//! Tests in rule files: reading, running, and what a failed one says.
#![allow(clippy::unwrap_used)]

use citywatch_model::RuleSource;
use citywatch_rules::{ScenarioReport, compile, run_scenarios};

/// The example of DESIGN.md §4.
const UNDERPASS: &str = r#"
rules:
  - id: flood.underpass-depth
    name: { zh: 下穿通道积水, en: Underpass water depth }
    hazard: flood                         # a label of the rule; it does not filter readings
    measurement: water_depth
    unit: cm                              # readings in another unit are converted; absent: values as they come
    where: { kind: underpass }            # tags a sensor must have (`sensor` and `zone` are tags too; a list means any of)
    levels:
      blue:   value >= 10 for 2m
      yellow: value >= 15 for 2m or rise(10m) >= 5
      orange: value >= 20
      red:    value >= 27 in 2 samples
    clear: value < 8 for 30m              # absent: the alert ends when no level holds
    hold: 5m                              # absent: 0
    advice: { zh: "封闭通道，启动排水泵", en: "Close the underpass, start the pumps" }
    source: Beijing practice, closed at 27 cm
    plan: flood
    tests:
      - name: closes at 27 cm and needs half an hour to clear
        readings: { u-1: "00:00 5 | 00:10 28 | 00:11 29 | 00:20 7 | 00:50 6" }
        expect: "00:10 u-1 raise orange | 00:11 u-1 change red | 00:50 u-1 clear"
        until: "01:00"
"#;

fn source(text: &str) -> [RuleSource; 1] {
    [RuleSource {
        file: "a.yaml".to_owned(),
        text: text.to_owned(),
    }]
}

fn run(rule: &str, tests: &str) -> ScenarioReport {
    let indent = |text: &str, blanks: &str| {
        text.lines()
            .map(|line| format!("{blanks}{line}\n"))
            .collect::<String>()
    };
    let (rule, tests) = (indent(rule, "    "), indent(tests, "      "));
    let text = format!(
        "rules:\n  - id: r\n    measurement: depth\n    unit: cm\n{rule}    tests:\n{tests}"
    );
    run_scenarios(&source(&text)).unwrap()
}

#[test]
fn the_example_of_the_design_compiles_and_its_test_passes() {
    let rules = compile(&source(UNDERPASS)).unwrap();
    insta::assert_debug_snapshot!(rules.rules);
    let report = run_scenarios(&source(UNDERPASS)).unwrap();
    assert_eq!((report.passed, report.failed), (1, vec![]));
}

#[test]
fn a_failed_test_says_what_happened() {
    let wrong = UNDERPASS.replace("00:50 u-1 clear", "00:45 u-1 clear");
    let report = run_scenarios(&source(&wrong)).unwrap();
    assert_eq!((report.passed, report.failed.len()), (0, 1));
    insta::assert_snapshot!(report.failed[0]);
}

#[test]
fn every_notation_is_understood() {
    for (rule, tests) in [
        // several sensors, several days, fractions of a second, negative values
        (
            "levels: { red: value >= 3 }",
            "- name: days\n  readings:\n    b: 00:00 5 | 1d 00:00:00.250 -1\n    a: [ 00:00 4, 2d 23:59:59 2.5e0 ]\n  \
             expect: [ 00:00 a raise red, 00:00 b raise red, 1d 00:00:00.250 b clear, 2d 23:59:59 a clear ]",
        ),
        // several measurements at one time are one observation
        (
            "levels: { red: value >= 3 and wind > 10 }",
            "- name: two\n  readings: { a: { depth: 00:00 5, wind: 00:00 11 | 00:10 9 } }\n  \
             expect: 00:00 a raise red | 00:10 a clear",
        ),
        // nothing may happen
        (
            "levels: { red: value >= 3 }",
            "- name: calm\n  readings: { a: 00:00 1 }\n- name: also\n  readings: { a: 00:00 1 }\n  expect: \"\"",
        ),
        // a sensor that never speaks is noticed, others get the tags of `where`
        (
            "where: { kind: [ underpass ] }\nlevels: { blue: age > 60m }",
            "- name: silent\n  sensors: { a: , b: { tags: { kind: other } } }\n  until: 02:00\n  expect: 01:00 a raise blue",
        ),
        (
            "where: { zone: east }\nlevels: { blue: value > 1 }",
            "- name: zones\n  sensors: { b: { zone: west }, c: { max: 3 } }\n  readings: { a: 00:00 2, b: 00:00 2, c: 00:00 2 | 00:01 1 | 00:02 4 }\n  \
             expect: 00:00 a raise blue | 00:00 c raise blue | 00:01 c clear",
        ),
        // `stale_after` starts a proof anew
        (
            "levels: { blue: value > 1 for 10m }",
            "- name: gap\n  sensors: { a: { interval: 1m } }\n  readings: { a: 00:00 2 | 00:10 2 | 00:14 2 | 00:18 2 | 00:20 2 }\n  \
             expect: 00:20 a raise blue",
        ),
    ] {
        let report = run(rule, tests);
        let failed: Vec<_> = report.failed.iter().map(ToString::to_string).collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        assert!(report.passed > 0, "{tests}");
    }
}

#[test]
fn the_same_id_in_two_files_is_one_mistake_and_names_both() {
    let file = |file: &str| RuleSource {
        file: file.to_owned(),
        text: "rules:\n  - id: a\n    measurement: m\n    levels: { red: value > 1 }\n".to_owned(),
    };
    let problems = compile(&[file("one.yaml"), file("two.yaml"), file("three.yaml")]).unwrap_err();
    insta::assert_snapshot!(problems);
}

/// Rules of one file over derived series of another.
fn run_over(derive: &str, rules: &str) -> ScenarioReport {
    let file = |file: &str, text: &str| RuleSource {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let sources = [file("rules.yaml", rules), file("derive.yaml", derive)];
    run_scenarios(&sources).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn rules_over_other_sensors_and_derived_series_are_tested_in_the_same_notation() {
    let derive = "
derive:
  - { id: net, measurement: net_inflow, value: 'sensor(P1, flow) - sensor(P2, flow)' }
  - { id: balance, measurement: balance, value: inflow - outflow }
  - { id: zone-inflow, measurement: zone_inflow, where: { role: inlet }, zones: sum(flow) }
  - { id: night, measurement: night_flow, daily: 'mean(flow) from 02:00 to 04:00' }
";
    for rules in [
        // the subject is the series itself
        "measurement: net_inflow, levels: { red: value > 5 }, tests: [ { name: named, \
         readings: { P1: { flow: 00:00 9 | 00:05 9 }, P2: { flow: 00:01 1 | 00:05 2 } }, expect: 00:05 net raise red } ]",
        "measurement: balance, levels: { red: value > 5 }, tests: [ { name: each, \
         readings: { a: { inflow: 00:00 9 | 00:05 9, outflow: 00:00 1 | 00:05 8 } }, expect: 00:00 a raise red | 00:05 a clear } ]",
        // a zone is the subject of its sum, which is whole once both sensors have spoken
        "measurement: zone_inflow, levels: { red: value > 5 }, tests: [ { name: zones, \
         sensors: { a: { zone: cell, tags: { role: inlet } }, b: { zone: cell, tags: { role: inlet } }, c: { zone: cell } }, \
         zones: { cell: { parent: street } }, \
         readings: { a: { flow: 00:00 3 | 00:05 3 | 00:10 2 }, b: { flow: 00:00 4 | 00:05 4 | 00:10 1 }, c: { flow: 00:05 50 } }, \
         expect: 00:05 cell raise red | 00:05 street raise red | 00:10 cell clear | 00:10 street clear } ]",
        // nights of a place that is eight hours ahead: 02:00 to 04:00 there is 18:00 to 20:00
        "measurement: night_flow, levels: { red: value > 5 }, tests: [ { name: nights, time_zone: Asia/Shanghai, \
         readings: { a: { flow: 17:00 100 | 18:00 6 | 19:30 8 | 20:00 100 | 1d 18:30 2 } }, until: 1d 21:00, \
         expect: 20:00 a raise red | 1d 20:00 a clear } ]",
        "measurement: night_flow, levels: { red: value > 5 }, tests: [ { name: zone time, \
         sensors: { a: { zone: cell } }, zones: { cell: { parent: street }, street: { time_zone: Asia/Shanghai } }, \
         readings: { a: { flow: 02:30 1 | 18:00 6 } }, until: 1d 00:00, expect: 20:00 a raise red } ]",
        // about 111 m to the north, and 1,110 m
        "measurement: methane, levels: { red: 'near(methane, 200m, max(value)) > 20' }, tests: [ { name: near, \
         sensors: { a: { lat: 39.9, lon: 116.4 }, b: { lat: 39.901, lon: 116.4 }, c: { lat: 39.91, lon: 116.4 } }, \
         readings: { a: 00:00 1 | 00:09 1, c: 00:01 50, b: 00:05 25 | 00:10 5 }, \
         expect: 00:05 a raise red | 00:10 a clear } ]",
        "measurement: methane, levels: { yellow: value > 20 }, escalate: { within: 200m }, tests: [ { name: escalated, \
         sensors: { a: { lat: 39.9, lon: 116.4 }, b: { lat: 39.901, lon: 116.4 } }, readings: { a: 00:00 25, b: 00:05 25 }, \
         expect: 00:00 a raise yellow | 00:05 a change orange | 00:05 b raise orange } ]",
        // silence is judged by the interval of an alarm while an alert is open
        "measurement: methane, levels: { blue: age > 2 * interval }, tests: [ { name: silent, \
         sensors: { a: { interval: 1h, interval_alarm: 1m } }, readings: { a: 00:00 1 }, until: 03:00, expect: 02:00 a raise blue } ]",
        // a rule that is off is tested like any other
        "measurement: methane, mode: off, levels: { red: value > 20 }, tests: [ { name: off, readings: { a: 00:00 25 }, expect: 00:00 a raise red } ]",
    ] {
        let report = run_over(derive, &format!("rules: [ {{ id: r, {rules} }} ]"));
        let failed: Vec<_> = report.failed.iter().map(ToString::to_string).collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        assert_eq!(report.passed, 1, "{rules}");
    }
}
