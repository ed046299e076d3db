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
