//! The default packs: every test in them passes.

#![allow(clippy::unwrap_used)]

use citywatch_rules::{RuleSource, run_scenarios};

fn packs() -> Vec<RuleSource> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs");
    ["flood", "forest_fire", "gas", "water"]
        .map(|pack| {
            let file = format!("{folder}/{pack}.yaml");
            let text = std::fs::read_to_string(&file).unwrap();
            RuleSource { file, text }
        })
        .into()
}

#[test]
fn the_tests_in_the_packs_pass() {
    let report =
        run_scenarios(&packs()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(report.passed > 100, "{}", report.passed);
}
