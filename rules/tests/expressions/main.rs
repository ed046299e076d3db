//! Properties of the language: what is printed reads as the same condition, and no text makes it stumble.
#![allow(clippy::unwrap_used)]

mod strategies;

use citywatch_model::RuleSource;
use citywatch_rules::ast::Condition;
use citywatch_rules::{Problems, compile};
use proptest::prelude::*;

use strategies::condition;

fn level(expression: &str) -> Result<Condition, Problems> {
    let quoted = expression.replace('\'', "''");
    let text = format!("rules:\n- id: r\n  measurement: m\n  levels:\n    red: '{quoted}'\n");
    let rules = compile(&[RuleSource {
        file: "r.yaml".to_owned(),
        text,
    }])?;
    Ok(rules.rules[0].levels[3].clone().unwrap())
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(condition in condition()) {
        let printed = condition.to_string();
        let read = level(&printed).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(&read, &condition, "{}", printed);
        prop_assert_eq!(read.to_string(), printed);
    }

    #[test]
    fn no_expression_makes_it_stumble(text in "[ -~≥，水]{0,60}") {
        if let Err(problems) = level(&text) {
            prop_assert!(!problems.list.is_empty());
            prop_assert!(problems.list.iter().all(|problem| problem.line == 5), "{}", problems);
        }
    }

    #[test]
    fn no_words_make_it_stumble(words in proptest::collection::vec(proptest::sample::select(vec![
        "value", "age", "(", ")", "and", "or", "not", ">", "==", "5", "10m", "for", "in", "samples", "rise(", ",",
        "sensor(", "P-1", "-", "*", "unchanged(2h)", "\"", "=", "!", "near(methane,", "100m,", "2 km", "max(value)",
        "zone(rain,", "mean(sum(1h))", "count_near(methane, 100m,", "value >= 20", "interval", "baseline(7d)",
        "forecast(1h,", "m",
    ]), 0..40)) {
        let text = words.join(" ");
        if let Ok(condition) = level(&text) {
            prop_assert_eq!(level(&condition.to_string()).unwrap(), condition);
        }
    }

    #[test]
    fn no_file_makes_it_stumble(text in "([a-z:{}\\[\\],&*!%|>'\"# -]|rules:|\n  |- id: a\n|é){0,60}") {
        let lines = u32::try_from(text.lines().count()).unwrap() + 1;
        if let Err(problems) = compile(&[RuleSource { file: "r.yaml".to_owned(), text }]) {
            prop_assert!(problems.list.iter().all(|problem| (1..=lines).contains(&problem.line)), "{}", problems);
            prop_assert!(!problems.render(true).is_empty());
        }
    }
}

#[test]
fn precedence_and_short_forms_are_those_of_the_design() {
    for (written, printed) in [
        (
            "value > 1 or m > 2 and not x > 3",
            "m > 1 or m > 2 and not x > 3",
        ),
        (
            "(value > 1 or m > 2) and x > 3",
            "(m > 1 or m > 2) and x > 3",
        ),
        (
            "value + 2 * -x - 3 > (1 + 2) * value",
            "m + 2 * -x - 3 > (1 + 2) * m",
        ),
        (
            "unchanged(2h) in 3 samples for 1m",
            "unchanged(m, 2h) == 1 for 1m in 3 samples",
        ),
        (
            "not unchanged(temperature, 120m)",
            "not unchanged(temperature, 2h) == 1",
        ),
        (
            "value >= 10 for 2m or rise(10m) >= 5",
            "m >= 10 for 2m or rise(m, 10m) >= 5",
        ),
        ("age > 60m", "age > 3600"),
        ("30m + 30m <= age", "1800 + 1800 <= age"),
        (
            "sensor(USGS-08074800, gage_height) - value > 1.50",
            "sensor(USGS-08074800, gage_height) - m > 1.5",
        ),
        ("sensor(\"pump 1\", value) > 0", "sensor(\"pump 1\", m) > 0"),
        ("sensor(a:b.c/1 , flow) > .5e1", "sensor(a:b.c/1, flow) > 5"),
        ("min(\"PM2.5\", 90s) <= - 3", "min(\"PM2.5\", 90s) <= -3"),
        ("valve == 1 in 1 sample", "valve == 1 in 1 samples"),
        (
            "span(1h) >= 45m and age > 1h",
            "span(m, 1h) >= 2700 and age > 3600",
        ),
        ("(value > 1) for 300", "m > 1 for 5m"),
        ("forecast(1h, 30m) >= 5", "m + slope(m, 30m) * 1 >= 5"),
        (
            "2 * forecast(level, 90m, 2h) > 5",
            "2 * (level + slope(level, 2h) * 1.5) > 5",
        ),
        ("value > 2 * baseline(7d)", "m > 2 * baseline(m, 7d)"),
        ("baseline(flow, 48h) < 3", "baseline(flow, 2d) < 3"),
        ("age > interval * 3", "age > interval * 3"),
        ("3 * interval <= age", "3 * interval <= age"),
        ("age > interval", "age > interval"),
        (
            "near(methane, 2km, max(rise(10m))) >= 20 in 3 samples",
            "near(methane, 2000m, max(rise(10m))) >= 20 in 3 samples",
        ),
        (
            "near(value, 0.5km, min(value)) < 20",
            "near(m, 500m, min(value)) < 20",
        ),
        (
            "zone(\"PM2.5\", mean(sum(1h))) > 20 for 1h",
            "zone(\"PM2.5\", mean(sum(1h))) > 20 for 1h",
        ),
        (
            "count_near(methane, 100m, -20 < value) >= 2",
            "count_near(methane, 100m, value > -20) >= 2",
        ),
        (
            "count_near(methane, 100m, span(1h) >= 45m) >= 2",
            "count_near(methane, 100m, span(1h) >= 2700) >= 2",
        ),
        (
            "zone(rain, max(span(1h))) > 45m",
            "zone(rain, max(span(1h))) > 2700",
        ),
        ("\"interval\" + \"zone\" > 1", "\"interval\" + \"zone\" > 1"),
    ] {
        let read = level(written).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(read.to_string(), printed, "{written}");
    }
}

#[test]
fn a_long_sum_is_read_and_a_longer_one_refused() {
    let sum = |terms: usize| format!("{} > 1", vec!["value"; terms].join(" + "));
    let read = level(&sum(490)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(level(&read.to_string()).ok(), Some(read));
    let problems = level(&sum(600)).map(|_| ()).unwrap_err();
    assert!(
        problems.list[0].message.starts_with("more than 1000 words"),
        "{problems}"
    );
}
