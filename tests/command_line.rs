//! `check` and `backtest` as they stand in scripts: what they print where, and how they end.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::process::Output;

use support::{file, text};

const RULES: &str =
    "rules:\n  - { id: t.high, measurement: level, unit: m, levels: { red: value >= 3 } }\n";
const DATA: &str = "time,sensor_id,hazard,measurement,value,unit\n\
    2026-01-01T00:00:00Z,r-1,flood,level,2,m\n\
    2026-01-01T00:01:00Z,r-1,flood,level,3.5,m\n\
    2026-01-01T00:02:00Z,r-1,flood,level,oops,m\n\
    2026-01-01T00:03:00.250Z,r-1,flood,level,250,cm\n";

fn backtest(folder: &tempfile::TempDir, more: &[&str]) -> Output {
    let (rules, data) = (
        file(folder, "rules.yaml", RULES),
        file(folder, "data.csv", DATA),
    );
    let mut arguments = vec!["backtest", "--rules", &rules, "--data", &data];
    arguments.extend(more);
    support::run(&arguments)
}

#[test]
fn jsonl_holds_transitions_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let output = backtest(&folder, &["--format", "jsonl"]);
    assert_eq!(
        text(&output.stdout),
        "{\"time\":\"2026-01-01T00:01:00Z\",\"kind\":\"raise\",\"rule\":\"t.high\",\"subject\":\"r-1\",\"level\":\"red\",\"value\":3.5}\n\
         {\"time\":\"2026-01-01T00:03:00.25Z\",\"kind\":\"clear\",\"rule\":\"t.high\",\"subject\":\"r-1\",\"level\":\"red\",\"value\":2.5}\n"
    );
    let errors = text(&output.stderr);
    assert!(
        errors.contains("data.csv:4: ") && errors.contains("1 bad rows"),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(0));
    let same = backtest(
        &folder,
        &["--format", "jsonl", "--workers", "4", "--epoch", "1"],
    );
    assert_eq!(text(&same.stdout), text(&output.stdout));
}

#[test]
fn text_is_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let output = text(&backtest(&folder, &[]).stdout);
    assert!(
        output.contains("2026-01-01T00:01:00Z     raise  red    t.high r-1 3.5 m"),
        "{output}"
    );
    assert!(
        output.contains("2 transitions: 1 raise, 0 change, 1 clear"),
        "{output}"
    );
}

#[test]
fn a_rule_file_with_three_mistakes_gets_three_messages() {
    let folder = tempfile::tempdir().unwrap();
    let rules = file(
        &folder,
        "bad.yaml",
        "rules:\n  - id: a\n    measurement: level\n    levels: { red: valu >= 3 }\n  - id: b\n    measurement: level\n    levels: { red: value >= 3 for 5 weeks }\n  - id: c\n    measurment: level\n    levels: { red: value > 1 }\n",
    );
    let output = support::run(&["check", "--rules", &rules]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for mistake in ["bad.yaml:4:", "bad.yaml:7:", "bad.yaml:9:", "^"] {
        assert!(errors.contains(mistake), "{mistake}: {errors}");
    }
}

#[test]
fn a_configuration_with_an_unknown_key_names_it_and_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        &folder,
        "citywatch.toml",
        "[http]\nlisten = \"127.0.0.1:0\"\nprot = 1\n\n[brokers]\n",
    );
    for command in ["check", "run"] {
        let output = support::run(&[command, "--config", &config]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("citywatch.toml:3: ") && errors.contains("`prot`"),
            "{errors}"
        );
        assert!(
            errors.contains("citywatch.toml:5: ") && errors.contains("`brokers`"),
            "{errors}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["backtest"][..], &["fly"], &["backtest", "--workers", "0"]] {
        assert_eq!(
            support::run(arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_packs_the_examples_and_the_demo_check_out() {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = support::run(&["check", "--rules", &format!("{root}/rules/packs")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for bundle in ["demo", "example", "bench"] {
        let output = support::run(&[
            "check",
            "--config",
            &format!("{root}/deploy/{bundle}/citywatch.toml"),
        ]);
        assert!(
            output.status.success(),
            "{bundle}: {}",
            text(&output.stderr)
        );
    }
}
