//! The default packs: every test in them passes, they score on the recorded sets what their README states, an
//! ordinary wet day is quiet, and a site that falls silent in the middle of an alert is noticed at once.

#![allow(clippy::unwrap_used)]

mod recorded;
mod registry;
mod reports_missed;
mod run;
mod score;
mod scores;
mod wet_day;

use citywatch_rules::run_scenarios;

#[test]
fn the_tests_in_the_packs_pass() {
    let report = run_scenarios(&run::packs())
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(report.passed > 100, "{}", report.passed);
}
