//! The packs on the recorded sets: the README of the packs states exactly these scores. A row that it lacks is
//! shown as it should stand there.

use citywatch_model::{Level, RuleSource, Time, Transition};

use crate::score::{Alert, Event, Score, alerts, events, score};
use crate::{recorded, registry, run};

const FLOOD: &str = "flood_usgs_harvey_2017";
const GAS: &str = "gas_metec_ch4_2022";
const WATER: &str = "water_battledim_2019_jan_feb";
const FIRE: &str = "fire_raws_saddle_mountain_2020";

fn with_packs(set: &str) -> Vec<Transition> {
    with(&run::packs(), set)
}

fn with(rules: &[RuleSource], set: &str) -> Vec<Transition> {
    run::replay(rules, registry::demo(), recorded::observations(set))
}

/// One rule that a set is compared with.
fn plain(body: &str) -> [RuleSource; 1] {
    [RuleSource {
        file: "plain.yaml".to_owned(),
        text: format!("rules: [ {{ id: plain, {body} }} ]"),
    }]
}

/// Every row must stand in the README.
#[track_caller]
fn stated(rows: &[String]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packs/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let lacking = rows
        .iter()
        .filter(|row| !text.lines().any(|line| line == **row));
    let lacking: Vec<&str> = lacking.map(String::as_str).collect();
    assert!(
        lacking.is_empty(),
        "rules/packs/README.md should say\n{}",
        lacking.join("\n")
    );
}

/// `2 h 5 min` and the like.
fn span(minutes: i64) -> String {
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Median (least to greatest).
fn spread(minutes: &[i64]) -> String {
    let (Some(least), Some(greatest)) = (minutes.first(), minutes.last()) else {
        return "–".to_owned();
    };
    if least == greatest {
        return span(*least);
    }
    let middle = minutes.len() / 2;
    let median = if minutes.len().is_multiple_of(2) {
        i64::midpoint(minutes[middle - 1], minutes[middle])
    } else {
        minutes[middle]
    };
    format!("{} ({} to {})", span(median), span(*least), span(*greatest))
}

/// `| rule | hits of events | alerts | false | times |`
fn row(rule: &str, events: &[Event], score: &Score, times: &str) -> String {
    let Score {
        alerts,
        false_alarms,
        hits,
        ..
    } = score;
    let events = events.len();
    format!("| {rule} | {hits} of {events} | {alerts} | {false_alarms} | {times} |")
}

/// With the delay from the start of each event.
fn delayed(rule: &str, events: &[Event], alerts: &[Alert]) -> String {
    let score = score(alerts, events);
    row(rule, events, &score, &spread(&score.delays))
}

fn rows(transitions: &[Transition], events: &[Event], rules: &[&str]) -> Vec<String> {
    let row = |rule: &&str| delayed(&format!("`{rule}`"), events, &alerts(transitions, rule));
    rules.iter().map(row).collect()
}

#[test]
fn both_bursts_of_the_water_set_are_found_the_same_night() {
    let (transitions, events) = (with_packs(WATER), events(WATER));
    let rules = [
        "water.zone-burst",
        "water.night-burst",
        "water.night-minimum",
        "water.outlet-step",
    ];
    stated(&rows(&transitions, &events, &rules));
    for burst in ["leak-p523", "leak-p827"] {
        let event = events.iter().find(|event| event.id == burst).unwrap();
        let morning =
            Time::from_millis((event.start.millis() / 86_400_000 + 1) * 86_400_000 + 6 * 3_600_000);
        for rule in &rules[..2] {
            let found = alerts(&transitions, rule);
            let same_night = |alert: &Alert| alert.raised_within(event) && alert.raised < morning;
            assert!(found.iter().any(same_night), "{rule} on {burst}: {found:?}");
        }
    }
    // no other rule of the packs speaks of this set's own sensors
    let others = |found: &&Transition| {
        let own = found.subject.starts_with("LTOWN") || found.subject.starts_with("xinqiao");
        own && !rules.iter().any(|rule| found.rule == *rule)
    };
    let others = run::written(transitions.iter().filter(others));
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn every_wave_of_harvey_is_seen_by_trend_before_its_crest() {
    let (transitions, events) = (with_packs(FLOOD), events(FLOOD));
    let lines = ["flood.river-rise", "flood.river-above-base"].map(|rule| {
        let score = score(&alerts(&transitions, rule), &events);
        let times = format!("{} before the crest", spread(&score.leads));
        row(&format!("`{rule}`"), &events, &score, &times)
    });
    stated(&lines);
    let rises = alerts(&transitions, "flood.river-rise");
    // the rain bands reached the city after this
    let night: Time = "2017-08-27T00:00:00Z".parse().unwrap();
    let main: Vec<&Event> = events
        .iter()
        .filter(|event| event.what.starts_with("main"))
        .collect();
    assert_eq!(main.len(), 10, "one main wave at each gauge");
    let mut gauges: Vec<String> = main
        .into_iter()
        .map(|event| gauge(event, &rises, night))
        .collect();
    gauges.sort();
    stated(&gauges);
}

/// `| gauge | raised | orange or red | crest | lead of both in hours |`, in UTC.
fn gauge(event: &Event, rises: &[Alert], night: Time) -> String {
    let sensor = event.sensor.unwrap();
    let new = |alert: &&Alert| alert.subject == sensor && alert.raised >= night;
    let alert = rises
        .iter()
        .find(new)
        .unwrap_or_else(|| panic!("{sensor} saw nothing"));
    let grave = alert
        .levels
        .iter()
        .find(|(_, level)| *level >= Level::Orange)
        .unwrap();
    let lead = |time: Time| event.end.since(time).seconds() / 3_600.0;
    let (first, second) = (lead(alert.raised), lead(grave.0));
    assert!(second > 0.0, "{sensor} only after its crest");
    let at = |time: Time| time.to_string()[8..16].replace('T', " ");
    format!(
        "| {sensor} | {} | {} | {} | {first:.1} h | {second:.1} h |",
        at(alert.raised),
        at(grave.0),
        at(event.end)
    )
}

#[test]
fn the_gas_releases_are_found_with_few_false_alarms() {
    let (transitions, events) = (with_packs(GAS), events(GAS));
    let mut lines = rows(&transitions, &events, &["gas.fence-line-methane"]);
    for threshold in [5, 20] {
        let rules = plain(&format!(
            "measurement: methane, unit: ppm, levels: {{ blue: value >= {threshold} }}"
        ));
        let found = alerts(&with(&rules, GAS), "plain");
        let name = format!("plain: ≥ {threshold} ppm");
        lines.push(delayed(&name, &events, &found));
    }
    stated(&lines);
    let score = score(&alerts(&transitions, "gas.fence-line-methane"), &events);
    assert_eq!(
        (score.hits, score.delays.len()),
        (events.len(), events.len())
    );
}

/// The step and the length of the background are not balanced on an edge.
#[test]
fn other_steps_above_other_backgrounds_find_the_gas_releases_too() {
    let (events, observations) = (events(GAS), recorded::observations(GAS));
    for (window, step) in [("2h", 1.5), ("2h", 2.5), ("24h", 1.5), ("24h", 2.5)] {
        let rules = plain(&format!(
            "measurement: methane, unit: ppm, levels: {{ blue: 'rise({window}) >= {step} in 2 samples' }}, hold: 1h"
        ));
        let transitions = run::replay(&rules, registry::demo(), observations.clone());
        let score = score(&alerts(&transitions, "plain"), &events);
        let whole = score.hits == events.len() && score.false_alarms <= 1;
        assert!(whole, "rise({window}) >= {step}: {score:?}");
    }
}

#[test]
fn both_red_flag_days_are_found() {
    let (transitions, events) = (with_packs(FIRE), events(FIRE));
    let mut lines = rows(&transitions, &events, &["forest_fire.red-flag"]);
    let rules = plain(
        "measurement: wind_gust, unit: m/s, levels: { blue: value >= 11.2 and relative_humidity <= 20 }",
    );
    let found = alerts(&with(&rules, FIRE), "plain");
    lines.push(delayed("plain: the same in one reading", &events, &found));
    stated(&lines);
}
