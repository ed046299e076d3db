//! Mistakes in rule files: each file under `tests/language` with the reports that it must give.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use citywatch_model::RuleSource;
use citywatch_rules::compile;

fn source(name: &str, text: &str) -> RuleSource {
    RuleSource {
        file: name.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let problems = compile(&[source(name, &text)]).unwrap_err();
        insta::assert_snapshot!(file.file_stem().unwrap().to_str().unwrap(), problems);
    }
}

#[test]
fn line_ends_and_marks_of_other_systems_shift_no_place() {
    let text = "\u{feff}rules:\r\n  - id: a\r\n    measurement: m\r\n    levels:\r\n      red: value > 1\r\n        and oops(1m) > 2\r\n      \
                blue: \"value > 1 \\\r\n        and oops(1m) > 2\"\r\n      yellow: |\r\n        value > 1 and\r\n        oops(1m) > 2\r\n";
    let problems = compile(&[source("crlf.yaml", text)]).unwrap_err();
    let places: Vec<_> = problems
        .list
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(6, 13), (8, 13), (11, 9)], "{problems}");
}
