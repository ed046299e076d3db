//! `citywatch backtest` as a tool: what it compares, scores and writes, and how it ends when something is wrong.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::process::{Command, Output, Stdio};

use serde_json::Value;

const RULES: &str = "rules:\n  - { id: t.high, hazard: flood, measurement: level, unit: m, levels: { red: value >= 3 } }\n";
const DATA: &str = "time,sensor_id,hazard,measurement,value,unit\n\
    2026-01-01T00:00:00Z,r-1,flood,level,2,m\n\
    2026-01-01T00:01:00Z,r-1,flood,level,3.5,m\n\
    2026-01-01T00:03:00Z,r-1,flood,level,250,cm\n\
    2026-01-02T00:00:00Z,r-1,flood,level,4,m\n\
    2026-01-02T00:02:00Z,r-1,flood,level,1,m\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with rules, data and whatever else a test needs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.file("rules.yaml", RULES);
        folder.file("data.csv", DATA);
        folder
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.path().join(name), text).unwrap();
        name.to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// `backtest` in the folder with its rules and data.
    fn run(&self, more: &[&str]) -> Output {
        let mut command = support::citywatch(&["backtest", "--rules", "rules.yaml"]);
        command.args(["--data", "data.csv"]).args(more);
        command.current_dir(self.0.path()).output().unwrap()
    }

    fn jsonl(&self, more: &[&str]) -> Vec<String> {
        let output = self.run(&[&["--format", "jsonl"], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_report_goes_to_people_and_as_json_to_a_file() {
    let folder = Folder::new();
    let output = folder.run(&["--report", "report.json", "--positions", "2"]);
    let shown = text(&output.stdout);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert!(
        shown.contains("\n\n5 readings in 5 observations of 1 sensor, "),
        "{shown}"
    );
    assert!(shown.contains("EEMUA 191 allows 10"), "{shown}");
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    assert_eq!(report["alerts"]["total"], 2, "{report}");
    assert_eq!(report["load"]["positions"], 2);
    assert_eq!(report["load"]["timezone"], "Asia/Shanghai");
    assert_eq!(report["load"]["busiest_day"]["date"], "2026-01-01");
    assert_eq!(report["noisy_sensors"][0]["sensor"], "r-1");
    assert_eq!(report["departments"], Value::Null);
    let output = folder.run(&["--format", "jsonl"]);
    let report_at = text(&output.stderr);
    assert!(report_at.contains("Noisiest sensors"), "{report_at}");
    assert!(
        text(&output.stdout)
            .lines()
            .all(|line| line.starts_with("{\"time\":"))
    );
}

#[test]
fn other_rules_plans_and_labels_add_their_parts() {
    let folder = Folder::new();
    folder.file("old.yaml", &RULES.replace("value >= 3 ", "value >= 3.8 "));
    folder.file(
        "labels.csv",
        "event_id,start,end\nwave,2026-01-01T00:00:00Z,2026-01-01T00:02:00Z\n",
    );
    folder.file(
        "plans.yaml",
        "departments:\n  - { id: hq, channels: [{ kind: webhook, url: 'http://x.test/' }] }\nplans:\n  - { id: default, levels: { blue: { tell: [hq] } } }\n",
    );
    let output = folder.run(&[
        "--against",
        "old.yaml",
        "--plans",
        "plans.yaml",
        "--labels",
        "labels.csv",
        "--grace",
        "5m",
        "--report",
        "r.json",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&folder.read("r.json")).unwrap();
    let (difference, score) = (&report["difference"], &report["labels"]);
    assert_eq!(
        (&difference["before"], &difference["new"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&score["hits"], &score["false_alarms"]),
        (&1.into(), &1.into())
    );
    assert_eq!(score["grace"], "5m");
    assert_eq!(
        report["departments"]["departments"][0]["warnings"]["red"], 1,
        "the first warning is in force for 24 h, beyond the second alert"
    );
    let shown = text(&output.stdout);
    for part in [
        "Departments: ",
        "Against the other rules: ",
        "Labelled events: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn from_and_to_choose_a_stretch() {
    let folder = Folder::new();
    assert_eq!(folder.jsonl(&[]).len(), 4);
    assert_eq!(folder.jsonl(&["--from", "2026-01-01T00:03:00Z"]).len(), 2);
    assert_eq!(
        folder.jsonl(&["--to", "2026-01-01T00:01:00Z"]).len(),
        0,
        "the end is left out"
    );
    // a local date is its midnight: that of the 2nd lies at 16:00 UTC of the 1st
    assert_eq!(folder.jsonl(&["--from", "2026-01-02"]).len(), 2);
    let utc = ["--timezone", "UTC", "--from", "2026-01-02T00:01"];
    assert_eq!(folder.jsonl(&utc).len(), 0);
}

#[test]
fn rules_that_saw_no_reading_are_told() {
    let folder = Folder::new();
    folder.file(
        "rules.yaml",
        "derive:\n  - { id: losses, measurement: loss, unit: m, value: 'sensor(r-1, level) - sensor(r-9, level)' }\n\
         rules:\n  \
           - { id: t.seen, measurement: level, levels: { red: value >= 3 } }\n  \
           - { id: t.where, measurement: level, where: { kind: river }, levels: { red: value >= 3 } }\n  \
           - { id: t.remote, measurement: level, levels: { red: 'sensor(nosuch, flow) >= 3' } }\n  \
           - { id: t.derived, measurement: loss, levels: { red: value >= 3 } }\n  \
           - { id: t.misspelt, measurement: levle, levels: { red: value >= 3 } }\n  \
           - { id: t.off, mode: off, measurement: none, levels: { red: value >= 3 } }\n",
    );
    let output = folder.run(&["--report", "report.json"]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains(
            "\nrule t.derived saw no reading of level at r-9\n\
             rule t.misspelt saw no reading of levle\n\
             rule t.remote saw no reading of flow at nosuch\n\
             rule t.where saw no reading of level\n"
        ),
        "{shown}"
    );
    assert_eq!(shown.matches("saw no reading").count(), 4, "{shown}");
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    let unseen = &report["data"]["unseen"];
    assert_eq!(unseen.as_array().unwrap().len(), 4, "{unseen}");
    assert_eq!(
        unseen[0],
        serde_json::json!({ "rule": "t.derived", "measurement": "level", "sensor": "r-9" })
    );
    folder.file("sensors.csv", "sensor_id,kind\nr-1,river\n");
    let output = folder.run(&["--sensors", "sensors.csv"]);
    assert!(!text(&output.stdout).contains("rule t.where saw"));
}

#[test]
fn no_readings_are_no_quiet_days() {
    let folder = Folder::new();
    let told = |more: &[&str]| {
        let output = folder.run(more);
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    assert_eq!(told(&[]), "");
    let chosen = "citywatch backtest: no readings in the chosen time: look at --from and --to\n";
    assert_eq!(told(&["--from", "2027-01-01"]), chosen);
    folder.file("data.csv", DATA.lines().next().unwrap());
    assert_eq!(told(&[]), "citywatch backtest: no readings at all\n");
}

#[test]
fn wrong_usage_ends_with_2_and_says_why() {
    let folder = Folder::new();
    for (more, told) in [
        (&["--from", "yesterday"][..], "`yesterday` is not a time"),
        (
            &["--timezone", "Mars/Base"],
            "`Mars/Base` is not a time zone",
        ),
        (
            &["--from", "2026-01-02", "--to", "2026-01-02"],
            "--from does not lie before --to",
        ),
        (&["--grace", "5m"], "--labels"),
        (&["--positions", "0"], "--positions"),
    ] {
        let output = folder.run(more);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {errors}");
        assert!(errors.contains(told), "{more:?}: {errors}");
    }
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let folder = Folder::new();
    folder.file("rules.yaml", &RULES.replace("value >= 3", "valu >= 3"));
    folder.file("old.yaml", "rules:\n  - { id: a }\n");
    folder.file(
        "labels.csv",
        "event_id,start,end\na,now,2026-01-01T00:00:00Z\n,2026-01-01T00:00:00Z,x\n",
    );
    let output = folder.run(&["--against", "old.yaml", "--labels", "labels.csv"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for told in [
        "rules.yaml:2:",
        "old.yaml:2:",
        "labels.csv:2: start: ",
        "labels.csv:3: event_id: ",
        "labels.csv:3: end: ",
    ] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    for (more, told) in [
        (
            &["--labels", "none.csv"][..],
            "none.csv: cannot read labels",
        ),
        (&["--against", "none.yaml"], "none.yaml: cannot read rules"),
        (&["--plans", "none.yaml"], "none.yaml"),
        (
            &["--report", "none/r.json"],
            "cannot write the report none/r.json",
        ),
        (
            &["--config", "none.toml"],
            "none.toml: cannot read the configuration",
        ),
    ] {
        let output = folder.run(more);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {errors}");
        assert!(
            errors.contains(told) && output.stdout.is_empty(),
            "{more:?}: {errors}"
        );
    }
}

/// Data that never end: a pipe that somebody holds open.
#[test]
fn an_interrupt_ends_at_once() {
    let folder = Folder::new();
    let pipe = folder.0.path().join("endless.csv");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // a shell that runs this in the background may have had interrupts ignored
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_citywatch")])
        .args(["backtest", "--rules", "rules.yaml", "--data", "endless.csv"])
        .current_dir(folder.0.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // opening waits until the program reads, and the header tells that it does
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    std::io::Write::write_all(&mut writer, DATA.as_bytes()).unwrap();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = support::wait_for("the end of the backtest", || child.try_wait().unwrap());
    assert!(!status.success(), "{status}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it() {
    let folder = Folder::new();
    let mut rows = String::from("time,sensor_id,measurement,value,unit\n");
    for minute in 0..20_000_i64 {
        let (day, hour) = (1 + minute / 1_440, minute / 60 % 24);
        let value = if minute % 2 == 0 { 9 } else { 0 };
        rows.push_str(&format!(
            "2026-01-{day:02}T{hour:02}:{:02}:00Z,r-1,level,{value},m\n",
            minute % 60
        ));
    }
    folder.file("data.csv", &rows);
    let mut child = support::citywatch(&[
        "backtest",
        "--rules",
        "rules.yaml",
        "--data",
        "data.csv",
        "--epoch",
        "1",
    ])
    .current_dir(folder.0.path())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
}
