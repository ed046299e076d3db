//! The engine against a naive reference: the same random rules over the same random streams must give the same
//! transitions. The reference shares nothing with the engine but the reading of rules and the table of units; it
//! keeps every reading and every truth in plain vectors and asks anew at each record.

#![allow(clippy::unwrap_used)]

mod buckets;
mod change;
mod compare;
mod derive;
mod engine;
mod escalate;
mod fire;
mod fwi;
mod grammar;
mod groups;
mod levels;
mod runs;
mod show;
mod sight;
mod silence;
mod stream;
mod truth;
mod window;
mod world;

use compare::agree;
use grammar::{Grammar, PLAIN};
use proptest::prelude::*;
use stream::Shape;

const HOURS: &[i64] = &[0, 5, 5, 10, 10, 15, 30, 60, 120];
const LONG: &[i64] = &[0, 0, 5, 5, 10, 15, 60, 120];
const WEATHER: &[i64] = &[0, 0, 30, 120, 180, 360, 720];
const DAYS: &[i64] = &[0, 60, 360, 720, 1_440, 1_440, 1_440, 1_500];
/// kPa converts to nothing that rules ask for.
const WRONG_UNITS: &[&str] = &["", "", "", "", "cm", "cm", "mm", "kPa"];
const ONE_SET: Shape = Shape {
    rule_sets: 1,
    registry: false,
    steps: HOURS,
    measurements: &["m", "h"],
    units: &["", "", "", "cm", "mm"],
};

proptest! {
    #![proptest_config(compare::config())]

    #[test]
    fn rules_of_one_sensor(case in compare::case(PLAIN, Shape { units: WRONG_UNITS, ..ONE_SET })) {
        agree(&case)?;
    }

    #[test]
    fn rules_about_silence(case in compare::case(Grammar { age: true, ..PLAIN }, Shape { units: WRONG_UNITS, ..ONE_SET })) {
        agree(&case)?;
    }

    #[test]
    fn rules_that_name_other_sensors(case in compare::case(Grammar { age: true, remote: true, ..PLAIN }, ONE_SET)) {
        agree(&case)?;
    }

    #[test]
    fn changes_of_registry_and_rules(
        case in compare::case(Grammar { age: true, remote: true, ..PLAIN }, Shape { rule_sets: 3, registry: true, ..ONE_SET })
    ) {
        agree(&case)?;
    }

    #[test]
    fn groups_of_sensors(case in compare::case(Grammar { groups: true, ..PLAIN }, ONE_SET)) {
        agree(&case)?;
    }

    #[test]
    fn groups_and_silence_under_changes(case in compare::case(
        Grammar { age: true, interval: true, groups: true, ..PLAIN },
        Shape { rule_sets: 2, registry: true, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn silence_in_intervals(case in compare::case(
        Grammar { age: true, interval: true, ..PLAIN },
        Shape { registry: true, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn escalation(case in compare::case(Grammar { escalate: true, ..PLAIN }, ONE_SET)) {
        agree(&case)?;
    }

    #[test]
    fn escalation_under_changes(case in compare::case(
        Grammar { escalate: true, groups: true, age: true, ..PLAIN },
        Shape { rule_sets: 2, registry: true, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn baselines(case in compare::case(
        Grammar { baseline: true, ..PLAIN },
        Shape { steps: DAYS, registry: true, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn derived_series(case in compare::derived_case(
        Grammar { measurements: &["m", "h", "d", "e", "f", "g"], ..PLAIN },
        Shape { steps: LONG, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn derived_series_and_all_the_rest(case in compare::derived_case(
        Grammar { measurements: &["m", "h", "d", "e", "f", "g"], age: true, groups: true, escalate: true, ..PLAIN },
        Shape { steps: LONG, registry: true, rule_sets: 2, ..ONE_SET },
    )) {
        agree(&case)?;
    }

    #[test]
    fn weather_of_days(case in compare::weather_case(
        Grammar { measurements: &["m", "w", "dmc", "isi"], age: true, ..PLAIN },
        Shape { steps: WEATHER, units: &[""], measurements: &["m", "h", "v", "p"], ..ONE_SET },
    )) {
        agree(&case)?;
    }
}
