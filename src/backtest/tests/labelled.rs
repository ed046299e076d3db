//! Scores against labelled events: what is a hit, a miss, a false alarm, and how lead and delay are counted.

use citywatch_model::{Duration, Registry};

use super::{at, readings, replay, rules, task};
use crate::backtest::Task;
use crate::backtest::labels::{Event, Labels};
use crate::backtest::score::{EventScore, Score};

/// `id 00:10 00:20 sensor hazard`, the last two may be missing, `-` is any sensor; grace in minutes.
fn labels(text: &str, grace: i64) -> Labels {
    let event = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let optional = |place: usize| {
            let word = words.get(place).filter(|word| **word != "-");
            word.map(|word| citywatch_model::name(word))
        };
        Event {
            id: words[0].to_owned(),
            start: at(words[1]),
            end: at(words[2]),
            sensor: optional(3),
            hazard: optional(4),
        }
    };
    let events = text.lines().filter(|line| !line.trim().is_empty());
    Labels::new(events.map(event).collect(), Duration::from_secs(grace * 60))
}

fn score(conditions: &[(&str, &str)], labels: &Labels, series: &str) -> Score {
    let (rules, registry) = (rules(conditions), Registry::default());
    let task = Task {
        labels: Some(labels),
        ..task(&rules, &registry)
    };
    replay(&task, &readings(series)).labels.unwrap()
}

/// Outcome, then delay and lead in minutes.
fn outcome(event: &EventScore) -> String {
    let minutes = |seconds: Option<f64>| seconds.map_or("-".to_owned(), |s| (s / 60.0).to_string());
    let (delay, lead) = (minutes(event.delay_s), minutes(event.lead_s));
    format!("{} {} {delay} {lead}", event.event, event.outcome.word())
}

#[track_caller]
fn check(condition: &str, (events, grace): (&str, i64), series: &str, expected: &[&str]) {
    let score = score(&[("t", condition)], &labels(events, grace), series);
    let outcomes: Vec<String> = score.each.iter().map(outcome).collect();
    assert_eq!(outcomes, expected, "{condition}: {events}");
}

#[test]
fn hits_misses_and_false_alarms() {
    // alerts: a 00:10-00:20, a 01:00-01:10, b 02:00-02:10, b 03:00 open
    let series = "a 00:00 0 | 00:10 5 | 00:20 0 | 01:00 5 | 01:10 0 | 04:00 0
                  b 00:00 0 | 02:00 5 | 02:10 0 | 03:00 5 | 04:00 5";
    let labels = labels(
        "any 00:05 00:30
         own 01:50 02:30 b
         other 01:55 02:30 a
         quiet 00:35 00:50
         before 00:00 00:00 c
         after 05:00 06:00",
        0,
    );
    let score = score(&[("t", "value >= 3")], &labels, series);
    let outcomes: Vec<String> = score.each.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            "before outside - -",
            "any hit 5 0",
            "quiet missed - -",
            "own hit 10 0",
            "other missed - -",
            // an alert is open then, but nobody spoke any more
            "after outside - -",
        ]
    );
    assert_eq!(
        (score.events, score.hits, score.misses, score.outside),
        (6, 2, 2, 2)
    );
    // a 01:00 touches nothing; b 03:00 is open into an event outside the data, so it proves nothing
    assert_eq!((score.alerts, score.false_alarms), (4, 1));
    assert_eq!((score.precision, score.recall), (Some(0.75), Some(0.5)));
    // two sensors of four hours each
    assert_eq!(score.sensor_years, 8.0 / (365.25 * 24.0));
    let rate = score.false_alarms_per_sensor_year.unwrap();
    assert!((rate - 365.25 * 3.0).abs() < 1e-9, "{rate}");
    assert_eq!((score.plain_thresholds, score.never_crossed), (1, 2));
}

#[test]
fn both_ends_of_an_event_belong_to_it_and_grace_comes_behind() {
    // one alert, 01:00 to 01:30
    let series = "a 00:00 0 | 01:00 5 | 01:30 0 | 03:00 0";
    let check = |event: &str, grace: i64, expected: &str| {
        check("value >= 3", (event, grace), series, &[expected]);
    };
    check("e 00:30 01:00", 0, "e hit 30 0");
    check("e 00:30 00:59", 0, "e missed - -");
    check("e 00:30 00:59", 1, "e hit 30 0");
    check("e 00:30 00:58", 1, "e missed - -");
    // it ended at the very start, so it was not open any more
    check("e 01:30 02:00", 0, "e missed - -");
    // open since before: a hit, but nothing that the event brought about
    check("e 01:29 02:00", 0, "e hit - -");
    check("e 01:10 01:10", 0, "e hit - -");
}

#[test]
fn lead_is_the_time_from_the_alert_to_the_plain_threshold() {
    let event = ("e 01:00 02:00", 0);
    let slow = "a 00:50 0 | 01:10 5 | 01:20 5 | 01:30 5 | 02:30 0";
    check("value >= 3", event, slow, &["e hit 10 0"]);
    check("value >= 3 for 15m", event, slow, &["e hit 30 -20"]);
    check("value >= 3 in 2 samples", event, slow, &["e hit 20 -10"]);
    // a trend is seen before the threshold, which another level would have needed
    let rising = "a 00:50 0 | 01:10 2 | 01:20 2.5 | 01:30 9 | 02:30 0";
    check(
        "rise(1h) >= 2 or value >= 9",
        event,
        rising,
        &["e hit 10 20"],
    );
    // no reading of the event crosses it, the one after its end does
    let late = "a 00:50 0 | 01:10 2 | 02:10 9";
    check("rise(1h) >= 2 or value >= 9", event, late, &["e hit 10 -"]);
    check(
        "rise(1h) >= 2 or value >= 9",
        ("e 01:00 02:00", 10),
        late,
        &["e hit 10 60"],
    );
    // no plain threshold at all
    check("rise(1h) >= 2", event, rising, &["e hit 10 -"]);
}

#[test]
fn a_threshold_that_is_crossed_since_before_counts_from_the_first_reading() {
    // above since 00:50, read again within the event at 01:20
    let series = "a 00:00 0 | 00:50 5 | 01:20 5 | 01:40 0 | 03:00 0";
    let event = ("e 01:00 02:00", 0);
    check("value >= 3 for 30m", event, series, &["e hit 20 0"]);
    // crossed before, but every reading within the event is below
    let fallen = "a 00:00 0 | 00:50 5 | 01:40 -4 | 03:00 0";
    let either = "value >= 3 for 1d or fall(2h) >= 9";
    check(either, ("e 01:30 02:00", 0), fallen, &["e hit 10 -"]);
}

#[test]
fn an_alert_that_was_open_before_gives_way_to_one_that_the_event_raised() {
    let series = "a 00:00 0 | 00:50 5 | 03:00 5
                  b 00:00 0 | 01:20 5 | 03:00 5";
    let labels = labels("one 01:00 01:10\ntwo 01:00 02:00", 0);
    let score = score(&[("t", "value >= 3")], &labels, series);
    let outcomes: Vec<String> = score.each.iter().map(outcome).collect();
    assert_eq!(outcomes, ["one hit - -", "two hit 20 0"]);
    assert_eq!((score.hits, score.open_before), (2, 1));
}

#[test]
fn an_event_that_began_before_the_data_is_delayed_from_their_beginning() {
    let series = "a 01:00 0 | 01:30 5 | 02:00 0";
    check("value >= 3", ("e 00:00 03:00", 0), series, &["e hit 30 0"]);
}

#[test]
fn each_rule_is_judged_by_itself() {
    let series = "a 00:00 0 | 00:10 5 | 00:20 0 | 01:00 9 | 01:10 0";
    let labels = labels("one 00:05 00:30\ntwo 00:55 01:05", 0);
    let score = score(
        &[("low", "value >= 3"), ("high", "value >= 8")],
        &labels,
        series,
    );
    let rules: Vec<_> = score
        .rules
        .iter()
        .map(|rule| (rule.rule.to_string(), rule.alerts, rule.hits, rule.recall))
        .collect();
    assert_eq!(
        rules,
        [
            ("high".to_owned(), 1, 1, Some(0.5)),
            ("low".to_owned(), 2, 2, Some(1.0))
        ]
    );
    assert_eq!((score.alerts, score.hits, score.recall), (3, 2, Some(1.0)));
    assert_eq!(score.plain_thresholds, 2);
}

/// The rules of these tests are rules of the hazard flood.
#[test]
fn an_event_of_a_hazard_is_answered_by_rules_of_that_hazard() {
    let series = "a 00:00 0 | 00:10 5 | 00:20 0 | 01:00 5 | 01:10 0";
    let told = |events: &str| {
        let score = score(&[("t", "value >= 3")], &labels(events, 0), series);
        let outcomes: Vec<String> = score.each.iter().map(outcome).collect();
        (outcomes.join(", "), score.alerts, score.false_alarms)
    };
    let expected = |outcomes: &str, alerts, stray| (outcomes.to_owned(), alerts, stray);
    assert_eq!(told("e 00:05 00:30 a flood"), expected("e hit 5 0", 2, 1));
    // alerts of a hazard that no event names are neither answers nor false
    assert_eq!(told("e 00:05 00:30 - gas"), expected("e missed - -", 0, 0));
    // an event of any hazard judges them all
    assert_eq!(
        told("e 00:05 00:30 - gas\nany 02:00 02:10"),
        expected("e missed - -, any outside - -", 2, 2)
    );
}

#[test]
fn nothing_is_divided_by_nothing() {
    let none = score(&[("t", "value >= 3")], &labels("", 0), "a 00:00 9");
    assert_eq!((none.events, none.alerts, none.false_alarms), (0, 1, 1));
    assert_eq!((none.recall, none.precision), (None, Some(0.0)));
    assert_eq!(
        none.false_alarms_per_sensor_year, None,
        "one reading takes no time"
    );
    let quiet = score(
        &[("t", "value >= 3")],
        &labels("e 00:00 00:10", 0),
        "a 00:00 0",
    );
    assert_eq!((quiet.precision, quiet.recall), (None, Some(0.0)));
    assert_eq!((quiet.lead, quiet.delay), (None, None));
}
