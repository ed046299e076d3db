//! A case, and whether everybody makes the same of it.

use citywatch_model::{RuleSource, Time, Transition};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult};

use crate::engine;
use crate::grammar::{Grammar, derived, rule};
use crate::runs::{Crash, RUNS, crashes};
use crate::stream::{Event, Registered, Shape, What, events, records, registered};

/// Rules and what happens under them.
#[derive(Debug, Clone)]
pub struct Case {
    /// Each a list of rules in flow style; the first is in force from the beginning.
    pub rule_sets: Vec<Vec<String>>,
    /// `derive:` in flow style, in every set.
    pub derived: Vec<String>,
    pub sensors: Vec<Registered>,
    pub events: Vec<Event>,
    /// Minutes by which the clock goes on behind the last event.
    pub end: Option<i64>,
    pub workers: usize,
    /// Lengths of epochs, over and over.
    pub cuts: Vec<usize>,
    pub crashes: Vec<Crash>,
    /// Whether rules or the registry may change in the middle.
    pub changes: bool,
}

/// Always the same cases, unless `PROPTEST_CASES` says how many: then others each time.
pub fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 300;
        config.rng_seed = RngSeed::Fixed(17);
    }
    config
}

/// Random cases with series derived from others.
pub fn derived_case(grammar: Grammar, shape: Shape) -> impl Strategy<Value = Case> {
    (case(grammar, shape), derived()).prop_map(|(case, derived)| Case { derived, ..case })
}

/// Random cases with the fire weather index; the weather is often an impossible one.
pub fn weather_case(grammar: Grammar, shape: Shape) -> impl Strategy<Value = Case> {
    let weather =
        "{ id: x4, measurement: w, fwi: { temperature: m, humidity: h, wind: v, rain: p } }";
    case(grammar, shape).prop_map(|case| Case {
        derived: vec![weather.to_owned()],
        ..case
    })
}

/// Random cases of some parts of the language.
pub fn case(grammar: Grammar, shape: Shape) -> impl Strategy<Value = Case> {
    let set = || {
        let rules = (0..3_usize)
            .map(|id| prop::option::weighted(0.6, rule(id, grammar)).boxed())
            .collect::<Vec<_>>();
        rules.prop_map(|rules| rules.into_iter().flatten().collect::<Vec<String>>())
    };
    let parts = (
        prop::collection::vec(set(), shape.rule_sets),
        prop::collection::btree_map(0..5_usize, registered(shape.measurements), 0..4),
        events(shape),
        prop::option::of(prop::sample::select(vec![0, 5, 30, 60, 600_i64])),
        1..=4_usize,
        prop::collection::vec(1..20_usize, 1..4),
        crashes(),
    );
    let changes = shape.registry || shape.rule_sets > 1;
    parts.prop_map(
        move |(rule_sets, sensors, events, end, workers, cuts, crashes)| Case {
            rule_sets,
            derived: Vec::new(),
            sensors: sensors
                .into_iter()
                .map(|(id, sensor)| sensor.called(id))
                .collect(),
            events,
            end,
            workers,
            cuts,
            crashes,
            changes,
        },
    )
}

/// Rules that never raise anything but make the engine keep what rules and sensors that come later may ask for: of
/// a rule that comes into force the texts only say that it may use what is held.
const KEEPERS: [&str; 6] = [
    "{ id: keep-m-cm, measurement: m, unit: cm, levels: { red: 'count(48h) < 0' } }",
    "{ id: keep-h-cm, measurement: h, unit: cm, levels: { red: 'count(48h) < 0' } }",
    "{ id: keep-m, measurement: m, levels: { red: 'count(48h) < 0 or baseline(60d) > 999999 or sensor(s0, m) > 999 or sensor(s1, m) > 999 or sensor(s2, m) > 999' } }",
    "{ id: keep-h, measurement: h, levels: { red: 'count(48h) < 0 or baseline(60d) > 999999 or sensor(s0, h) > 999 or sensor(s1, h) > 999 or sensor(s2, h) > 999' } }",
    "{ id: keep-second-m, measurement: m, levels: { red: 'count(48h) < 0 or near(m, 1m, sum(sum(48h))) > 999999 or near(h, 1m, sum(sum(48h))) > 999999' } }",
    "{ id: keep-second-h, measurement: h, levels: { red: 'count(48h) < 0 or near(m, 1m, sum(sum(48h))) > 999999 or near(h, 1m, sum(sum(48h))) > 999999' } }",
];

const KEEPER_OF_DERIVED: &str = "{ id: keep-derived, measurement: d, levels: { red: 'near(d, 1m, sum(sum(48h))) > 999999 or near(e, 1m, sum(sum(48h))) > 999999 or near(f, 1m, sum(sum(48h))) > 999999 or near(g, 1m, sum(sum(48h))) > 999999' } }";

fn sources(case: &Case, set: &[String]) -> Vec<RuleSource> {
    let keepers: &[&str] = if case.changes { &KEEPERS } else { &[] };
    let keepers: Vec<String> = keepers.iter().map(|text| (*text).to_owned()).collect();
    let file = |word: &str, texts: &[String]| RuleSource {
        file: format!("{word}.yaml"),
        text: format!(
            "{word}:\n{}",
            texts
                .iter()
                .map(|text| format!("- {text}\n"))
                .collect::<String>()
        ),
    };
    let mut files = vec![file("rules", &[set, &keepers].concat())];
    files.retain(|file| file.text.contains("\n- "));
    if !case.derived.is_empty() {
        files.push(file("derive", &case.derived));
        if case.changes {
            files.push(file("rules", &[KEEPER_OF_DERIVED.to_owned()]));
        }
    }
    files
}

/// The reference and every way to run the engine give the same transitions.
pub fn agree(case: &Case) -> TestCaseResult {
    let rule_sets: Vec<_> = case
        .rule_sets
        .iter()
        .map(|set| sources(case, set))
        .collect();
    let mut first = vec![What::Rules(0)];
    if !case.sensors.is_empty() {
        first.push(What::Register(case.sensors.clone()));
    }
    let records = records(&first, &case.events, &rule_sets);
    let end = case.end.map(|minutes| {
        Time::from_millis(records[records.len() - 1].clock.millis() + minutes * 60_000)
    });
    let expected = engine::transitions(&records, end);
    for (name, run) in RUNS {
        let found = run(&records, end, case);
        if !alike(&found, &expected) {
            prop_assert_eq!(
                shown(&found),
                shown(&expected),
                "{} (left) and reference (right)",
                name
            );
        }
    }
    Ok(())
}

/// Equal but for what another order of additions makes of values.
fn alike(found: &[Transition], expected: &[Transition]) -> bool {
    let near =
        |found: f64, expected: f64| (found - expected).abs() <= 1e-8 * expected.abs().max(1.0);
    let same = |(found, expected): (&Transition, &Transition)| {
        let value = match (found.value, expected.value) {
            (Some(found), Some(expected)) => near(found, expected),
            (found, expected) => found == expected,
        };
        value
            && *found
                == Transition {
                    value: found.value,
                    ..expected.clone()
                }
    };
    found.len() == expected.len() && found.iter().zip(expected).all(same)
}

fn shown(transitions: &[Transition]) -> Vec<String> {
    let one = |one: &Transition| {
        let minutes = (one.time.millis() - crate::stream::MIDNIGHT) as f64 / 60_000.0;
        let (hours, minutes) = ((minutes / 60.0).floor(), minutes % 60.0);
        let Transition {
            position,
            kind,
            rule,
            subject,
            level,
            value,
            unwatched,
            ..
        } = one;
        let why = if *unwatched { " unwatched" } else { "" };
        format!(
            "{hours:02}:{minutes:02} #{position} {rule} {subject} {kind} {level} {value:?}{why}"
        )
    };
    transitions.iter().map(one).collect()
}
