//! What `check` says of the bundle that a configuration names: mistakes, and what is lawful and yet mostly a slip.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Output;

use support::{file, text};

const RULES: &str =
    "rules:\n  - { id: t.high, measurement: level, unit: m, levels: { red: value >= 3 } }\n";

/// `check` of a folder with these files and a configuration that names those of a bundle among them.
fn check(files: &[(&str, &str)], config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        file(&folder, name, text);
    }
    let config = file(&folder, "citywatch.toml", config);
    support::run(&["check", "--config", &config])
}

#[test]
fn a_bundle_that_run_refuses_does_not_check_out() {
    let planned = RULES.replace("unit: m,", "unit: m, plan: noplan,");
    let output = check(
        &[("rules.yaml", &planned)],
        "[bundle]\nrules = [\"rules.yaml\"]\n",
    );
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("rules.yaml:2: rule `t.high` names the plan `noplan`"),
        "{errors}"
    );
}

/// A configuration that names all parts of a bundle.
const BUNDLE: &str =
    "[bundle]\nsensors = \"sensors.csv\"\nplans = \"plans.yaml\"\nrules = [\"rules.yaml\"]\n";

/// Plans that reach somebody.
const PLANS: &str = "departments: [{ id: duty, channels: [{ kind: cap_mqtt }] }]
plans: [{ id: default, levels: { blue: { tell: [duty] } } }]
";

/// With zones.
const ZONED: &str = "[bundle]\nsensors = \"sensors.csv\"\nzones = \"zones.yaml\"\nplans = \"plans.yaml\"\nrules = [\"rules.yaml\"]\n";
const ZONES: &str = "zones:\n  - { id: street-1, name: 一 }\n";

#[test]
fn a_mistake_in_the_configuration_hides_none_in_the_bundle() {
    let output = check(
        &[
            ("sensors.csv", "sensor_id,lat,lon\na,91,0\n"),
            ("plans.yaml", "plans:\n  - { id: p, levls: {} }\n"),
            ("rules.yaml", &RULES.replace("value >= 3", "valu >= 3")),
        ],
        &format!("[http]\nprot = 1\n{BUNDLE}"),
    );
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for told in [
        "citywatch.toml:2: ",
        "sensors.csv:2: lat: ",
        "plans.yaml:2:",
        "rules.yaml:2:",
    ] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
    // what a broken configuration does not name is not missed
    let planned = RULES.replace("unit: m,", "unit: m, plan: p,");
    let config = "[bundle]\nplan = \"plans.yaml\"\nrules = [\"rules.yaml\"]\n";
    let errors = text(&check(&[("rules.yaml", &planned)], config).stderr);
    assert!(
        errors.contains("`plan`") && errors.ends_with("\n1 problem\n"),
        "{errors}"
    );
}

#[test]
fn check_alone_reads_the_usual_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let check = |config: Option<&str>| {
        let mut command = support::citywatch(&["check"]);
        command.env_remove("CITYWATCH_CONFIG");
        command.envs(config.map(|config| ("CITYWATCH_CONFIG", config)));
        command.current_dir(folder.path()).output().unwrap()
    };
    let output = check(None);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("citywatch.toml: cannot read the configuration"),
        "{output:?}"
    );
    file(&folder, "rules.yaml", RULES);
    for name in ["citywatch.toml", "other.toml"] {
        file(&folder, name, "[bundle]\nrules = [\"rules.yaml\"]\n");
        let output = check((name == "other.toml").then_some(name));
        assert!(
            output.status.success() && text(&output.stdout).starts_with(name),
            "{output:?}"
        );
    }
}

#[test]
fn a_column_that_became_a_tag_by_a_slip_is_refused() {
    let files = [
        ("plans.yaml", "plans: []\n"),
        ("rules.yaml", RULES),
        (
            "sensors.csv",
            "sensor_id,Max,intervall,owner\na,5,1m,us\nb,6,1m,us\n",
        ),
    ];
    let output = check(&files, BUNDLE);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("sensors.csv:1: `Max` is taken for a tag: write `max`")
            && errors.contains("sensors.csv:1: `intervall` is taken for a tag: write `interval`")
            && errors.ends_with("\n2 problems\n"),
        "{errors}"
    );
}

#[test]
fn rules_that_no_registered_sensor_feeds_are_warned_of() {
    let rule = |id: &str, more: &str| {
        format!("  - {{ id: {id}, measurement: level, levels: {{ red: value >= 3 }}, {more} }}\n")
    };
    let rules = [
        rule("t.fed", "where: { kind: river }"),
        rule("t.kind", "where: { kind: rivr }"),
        rule("t.zone", "where: { zone: nowhere }"),
        rule("t.sensor", "where: { sensor: [r-1, r-9] }"),
        rule("t.remote", "clear: 'sensor(r-8, flow) < 1'"),
        rule("t.measurement", "").replace("level,", "levl,"),
        rule("t.off", "mode: off, where: { kind: rivr }"),
    ];
    let rules = format!("rules:\n{}", rules.concat());
    let check = |sensors: &str| {
        let files = [
            ("plans.yaml", PLANS),
            ("rules.yaml", &rules),
            ("sensors.csv", sensors),
        ];
        let output = check(&files, BUNDLE);
        let errors = text(&output.stderr);
        assert!(output.status.success(), "{errors}");
        errors
    };
    let warnings = check("sensor_id,kind,measurements\nr-1,river,level\n");
    for told in [
        "rules.yaml:3: rule `t.kind` selects no sensor of the registry: none measures level and fits its `where`",
        "rules.yaml:4: rule `t.zone` names the zone `nowhere`, which the registry does not hold",
        "rules.yaml:5: rule `t.sensor` names the sensor `r-9`, which the registry does not hold",
        "rules.yaml:6: rule `t.remote` names the sensor `r-8`",
        "rules.yaml:7: rule `t.measurement` selects no sensor",
    ] {
        assert!(warnings.contains(told), "{told}: {warnings}");
    }
    assert_eq!(warnings.matches("warning: ").count(), 5, "{warnings}");
    assert_eq!(check("sensor_id\n"), "", "nobody is registered");
}

#[test]
fn a_sum_under_a_factor_that_does_not_come_in_the_unit_of_its_series_is_warned_of() {
    let series = |id: &str, more: &str, value: &str| {
        format!("  - {{ id: {id}, measurement: net, {more}value: '{value}' }}\n")
    };
    let derived = [
        series("s-sum", "unit: m, ", "sensor(a, level) - sensor(b, level)"),
        series(
            "s-factor",
            "unit: m, ",
            "(sensor(a, level) + 2 - sensor(b, level)) / 2",
        ),
        series(
            "s-inner",
            "unit: m, ",
            "1 - 2 * -(3 * (sensor(a, level) + sensor(b, level)))",
        ),
        series(
            "s-own",
            "unit: m, ",
            "(sensor(a, level) + sensor(b, net)) / 2",
        ),
        series("s-as-sent", "", "(sensor(a, level) + sensor(b, level)) / 2"),
        series(
            "s-ratio",
            "unit: \"%\", ",
            "(sensor(a, level) - sensor(b, level)) / sensor(b, level) * 100",
        ),
        series("s-by-hand", "unit: m, ", "sensor(a, level) * 0.01"),
    ];
    let rules = "rules:\n  - { id: t.net, measurement: net, levels: { red: value >= 3 } }\n";
    let rules = format!("derive:\n{}{rules}", derived.concat());
    let files = [
        ("plans.yaml", PLANS),
        ("rules.yaml", &*rules),
        ("sensors.csv", "sensor_id\n"),
    ];
    let output = check(&files, BUNDLE);
    let warnings = text(&output.stderr);
    assert!(output.status.success(), "{warnings}");
    for told in [
        "rules.yaml:3: the derived series `s-factor` adds under a factor, and there it adds in the unit that the sensors send, not in m",
        "rules.yaml:4: the derived series `s-inner`",
    ] {
        assert!(warnings.contains(told), "{told}: {warnings}");
    }
    assert_eq!(warnings.matches("warning: ").count(), 2, "{warnings}");
}

#[test]
fn plans_that_reach_nobody_by_a_slip_are_refused() {
    let plans = "departments:
  - { id: east, zones: [street-9], channels: [{ kind: cap_mqtt }] }
  - id: west
    zones: [elsewhere, Street-1]
    channels: [{ kind: cap_mqtt }]
  - { id: mute, contacts: [{ name: 值班员, phone: 000-0001 }] }
plans:
  - id: default
    levels:
      blue: { tell: [mute] }
      red: { automatic: true }
  - { id: by-web, levels: { red: { tell: [east], channels: [webhook], automatic: true } } }
  - { id: good, levels: { red: { tell: [east], automatic: true } } }
";
    let files = [
        ("plans.yaml", plans),
        ("rules.yaml", RULES),
        ("sensors.csv", "sensor_id,zone\na,street-1\n"),
        ("zones.yaml", ZONES),
    ];
    let output = check(&files, ZONED);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for told in [
        "plans.yaml:2:25: department `east` answers for the zone `street-9`, which there is not, and would be told of nothing there: did you mean `street-1`?",
        "plans.yaml:4:13: department `west` answers for the zone `elsewhere`, which there is not, and would be told of nothing there: write an id of zones.yaml",
        "plans.yaml:4:24: department `west` answers for the zone `Street-1`, which there is not, and would be told of nothing there: did you mean `street-1`?",
        "plans.yaml:11:12: plan `default` warns by itself at red and reaches nobody there",
        "plans.yaml:12:34: plan `by-web` warns by itself at red",
    ] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
    assert!(errors.ends_with("\n5 problems\n"), "{errors}");
}

#[test]
fn plans_that_mostly_are_a_slip_are_warned_of() {
    let plans = "departments:
  - { id: duty, channels: [{ kind: cap_mqtt }] }
  - id: mute
    contacts: [{ name: 值班员, phone: 000-0001 }]
plans:
  - id: floods
    hazard: floods
    levels:
      blue: { tell: [mute] }
      yellow: { tell: [duty] }
  - { id: gas, hazard: gas, levels: { blue: { tell: [duty] } } }
";
    let rules = RULES.replace("unit: m,", "unit: m, hazard: flood,");
    let check = |plans: &str, rules: &str| {
        let files = [
            ("plans.yaml", plans),
            ("rules.yaml", rules),
            ("sensors.csv", "sensor_id\n"),
        ];
        let output = check(&files, BUNDLE);
        let errors = text(&output.stderr);
        assert!(output.status.success(), "{errors}");
        errors
    };
    let warnings = check(plans, &rules);
    for told in [
        "plans.yaml:3:5: department `mute` has no channel, nor has any of its contacts",
        "plans.yaml:7:13: plan `floods` serves the hazard `floods`, which no rule has: did you mean `flood`?",
        "plans.yaml:9:13: plan `floods` reaches nobody at blue",
        "plans.yaml:11:24: plan `gas` serves the hazard `gas`, which no rule has: add rules for it",
    ] {
        assert!(warnings.contains(told), "{told}: {warnings}");
    }
    assert_eq!(warnings.matches("warning: ").count(), 4, "{warnings}");
    let none = check("plans: []\n", &rules);
    assert!(
        none.contains("plans.yaml: there are no plans, so nobody is told"),
        "{none}"
    );
    let none = check(PLANS, "rules: []\n");
    assert!(
        none.contains("warning: rules: there are no rules, so nothing can raise an alert"),
        "{none}"
    );
    assert_eq!(check(PLANS, &rules), "");
}

#[test]
fn a_registered_sensor_that_no_rule_looks_at_is_warned_of() {
    let rules = "derive:
  - { id: t.twice, measurement: twice, value: flow * 2, where: { kind: river } }
rules:
  - id: t.high
    measurement: level
    where: { kind: underpass }
    levels:
      red: value >= 3 and sensor(named-1, level) > 1 and near(rain, 500m, max(value)) > 1
";
    let sensors = "sensor_id,kind,measurements
up-0001,underpass,level
up-0002,underpas,level
up-0003,underpass,lvl
up-0004,underpas,level rain
rv-0001,river,flow
rv-0002,river,
rain-1,gauge,rain
named-1,,level
a-1,x,y\na-2,x,y\na-3,,y\na-4,,y\na-5,,y
";
    let files = [
        ("plans.yaml", PLANS),
        ("rules.yaml", rules),
        ("sensors.csv", sensors),
    ];
    let output = check(&files, BUNDLE);
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains(
            "sensors.csv: no rule looks at sensors a-1 (kind x), a-2 (kind x), a-3, a-4, a-5 and 3 more: nothing is ever raised there"
        ),
        "{errors}"
    );
    assert_eq!(errors.matches("warning: ").count(), 1, "{errors}");
}

#[test]
fn zones_that_cannot_be_read_are_not_missed_by_sensors() {
    let files = [
        ("plans.yaml", PLANS),
        ("rules.yaml", RULES),
        ("sensors.csv", "sensor_id,zone\na,street-1\nb,street-1\n"),
        (
            "zones.yaml",
            "zones:\n  - { id: street-1, name: 一, timezone: Asia/Shangai }\n",
        ),
    ];
    let output = check(&files, ZONED);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("zones.yaml:2: timezone: `Asia/Shangai`")
            && errors.ends_with("\n1 problem\n"),
        "{errors}"
    );
}
