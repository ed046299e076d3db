//! Every CAP message validates against the schema of OASIS, judged by lxml and not by the code that wrote it.
//! Needs python3 with venv; the first run makes `target/venv` and installs lxml into it.

#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod sample;
}

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use citywatch_alerting::cap;
use citywatch_alerting::warning::{
    Area, Cause, Code, Reference, Scope, Shape, Status, Warning, WarningKind,
};
use citywatch_model::{Level, Text, Time, name};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::Deserialize;

use support::sample::{cases, sample};

#[derive(Debug, Deserialize)]
struct Verdict {
    errors: Vec<String>,
    descriptions: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program that must succeed; its output in the message if it does not.
fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; install python3 with its venv module",
                program.display()
            )
        });
    assert!(
        output.status.success(),
        "{} {arguments:?} failed; install python3 with venv, or lxml into target/venv: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A Python that has lxml.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let venv = root().join("../target/venv");
        let python = venv.join("bin/python");
        let ready = || {
            Command::new(&python)
                .args(["-c", "import lxml.etree"])
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if !ready() {
            run(
                Path::new("python3"),
                &["-m", "venv", venv.to_str().unwrap()],
            );
            run(&python, &["-m", "pip", "install", "--quiet", "lxml"]);
        }
        python
    })
}

/// All documents in one process.
fn judge(documents: &[String]) -> Vec<Verdict> {
    let mut child = Command::new(python())
        .arg(root().join("tests/schema/validate.py"))
        .arg(root().join("tests/schema/CAP-v1.2.xsd"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(documents).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_judge_knows_good_from_bad() {
    let example =
        |file: &str| std::fs::read_to_string(root().join("tests/schema").join(file)).unwrap();
    let good = cap::render(&sample());
    let documents = vec![
        example("43b080713727.cap"),
        example("thunderstorm.cap"),
        good.replace("+08:00", "Z"),
        good.replace("<status>Actual", "<status>actual"),
        good.replace("</alert>", ""),
    ];
    let valid: Vec<bool> = judge(&documents)
        .iter()
        .map(|verdict| verdict.errors.is_empty())
        .collect();
    assert_eq!(valid, [true, true, false, false, false]);
}

#[test]
fn every_kind_of_message_is_valid() {
    let (names, documents): (Vec<_>, Vec<_>) = cases()
        .iter()
        .map(|(name, warning)| (*name, cap::render(warning)))
        .unzip();
    for (name, verdict) in names.iter().zip(judge(&documents)) {
        assert!(verdict.errors.is_empty(), "{name}: {:?}", verdict.errors);
    }
}

#[test]
fn any_warning_gives_a_valid_message_with_its_text() {
    let mut runner = TestRunner::default();
    let warnings: Vec<Warning> = (0..400)
        .map(|_| any_warning().new_tree(&mut runner).unwrap().current())
        .collect();
    let documents: Vec<String> = warnings.iter().map(cap::render).collect();
    for ((warning, document), verdict) in warnings.iter().zip(&documents).zip(judge(&documents)) {
        assert!(
            verdict.errors.is_empty(),
            "{:?}\n{warning:?}\n{document}",
            verdict.errors
        );
        let want = readable(&warning.description.zh);
        if !want.trim().is_empty() {
            assert_eq!(verdict.descriptions.first(), Some(&want), "{document}");
        }
    }
}

/// What XML can hold of a text; written a second time here, from the `Char` production of XML 1.0.
fn readable(text: &str) -> String {
    let holds = |c: &char| !matches!(u32::from(*c), 0..=8 | 11..=31 | 0xfffe | 0xffff);
    text.replace("\r\n", "\n").chars().filter(holds).collect()
}

fn any_text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        3 => any::<char>(),
        3 => select("<>&\"' ,;]\r\n\t\0\u{1}\u{b}\u{85}\u{2028}\u{fffe}\u{ffff}%".chars().collect::<Vec<_>>()),
        2 => select("水位超警戒线abcXYZ019".chars().collect::<Vec<_>>()),
    ];
    prop::collection::vec(letter, 0..40).prop_map(|letters| letters.into_iter().collect())
}

prop_compose! {
    fn any_words()(zh in any_text(), en in any_text()) -> Text {
        Text { zh, en }
    }
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![
        (Time::MIN.millis()..=Time::MAX.millis()).prop_map(Time::from_millis),
        Just(Time::MIN),
        Just(Time::MAX),
    ]
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    const NAMED: [&str; 4] = [
        "Asia/Shanghai",
        "America/St_Johns",
        "Pacific/Kiritimati",
        "Africa/Monrovia",
    ];
    prop_oneof![
        Just(TimeZone::UTC),
        select(&NAMED[..]).prop_map(|zone| TimeZone::get(zone).unwrap()),
        (-93_599..=93_599i32)
            .prop_map(|seconds| TimeZone::fixed(Offset::from_seconds(seconds).unwrap())),
    ]
}

fn any_point() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![(any::<f64>(), any::<f64>()), (-90.0..90.0, -180.0..180.0)]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        prop::collection::vec(any_point(), 0..6).prop_map(Shape::Polygon),
        (any_point(), any::<f64>())
            .prop_map(|(center, radius_km)| Shape::Circle { center, radius_km }),
    ]
}

prop_compose! {
    fn any_area()(
        name in any_words(),
        shapes in prop::collection::vec(any_shape(), 0..3),
        code in (any_text(), any_text()),
    ) -> Area {
        Area { name, shapes, geocodes: vec![Code { name: code.0, value: code.1 }] }
    }
}

prop_compose! {
    fn any_cause()(texts in prop::array::uniform5(any_text()), value in any::<Option<f64>>()) -> Cause {
        let [alert_id, rule, rule_source, sensor, unit] = texts;
        let (rule, sensor, unit) = (name(&rule), name(&sensor), name(&unit));
        Cause { alert_id, rule, rule_source, sensor, measurement: unit, value, unit }
    }
}

prop_compose! {
    fn any_warning()(
        texts in prop::array::uniform8(any_text()),
        words in prop::array::uniform5(any_words()),
        times in (any_time(), any_time(), any::<Option<bool>>()),
        timezone in any_zone(),
        status in select(&[Status::Actual, Status::Exercise, Status::Test, Status::Draft][..]),
        kind in select(&[
            WarningKind::Issued, WarningKind::Updated, WarningKind::Lifted, WarningKind::Corrected, WarningKind::Withdrawn,
        ][..]),
        level in select(&Level::ALL[..]),
        area in any_area(),
        cause in any_cause(),
    ) -> Warning {
        let [identifier, sender, exercise, note, sent, hazard, contact, address] = texts;
        let [sender_name, event, headline, description, instruction] = words;
        Warning {
            references: vec![Reference { sender: sender.clone(), identifier: note.clone(), sent }],
            identifier, sender, sender_name, sent: times.0, timezone, status, kind, level, headline, description, instruction,
            exercise: Some(exercise), note: Some(note), event, contact, area, cause,
            scope: if times.2.is_some() { Scope::Public } else { Scope::Restricted },
            hazard: name(&hazard),
            event_codes: vec![Code { name: String::new(), value: hazard }],
            onset: times.2.map(|_| times.1),
            expires: times.1,
            cap_url: Some(format!("https://h/{address}")),
        }
    }
}
