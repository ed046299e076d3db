//! Expressions and proofs: what a condition is at one evaluation, sentence by sentence of the rule language.

use crate::support::{check, check_sets, rule, sources};

#[test]
fn raises_at_the_first_true_and_clears_at_the_first_false() {
    check(
        "levels: { red: value >= 20 }",
        "00:00 a 5 | 00:01 a 20 | 00:02 a 25 | 00:03 a 19 | 00:04 a 18 | 00:05 a 21",
        "00:01 a raise red | 00:03 a clear red | 00:05 a raise red",
    );
}

#[test]
fn comparisons() {
    for (condition, outcome) in [
        ("value > 5", false),
        ("value >= 5", true),
        ("value < 5", false),
        ("value <= 5", true),
        ("value == 5", true),
        ("value != 5", false),
        (
            "value + 1 == 6 and value - 1 == 4 and value * 2 == 10 and value / 2 == 2.5",
            true,
        ),
        ("not (value > 5) and (value > 9 or value < 6)", true),
        ("-value == -5", true),
        // division by zero is unknown, and so is its negation; `or` hides it, `and` does not
        ("value / 0 > 1", false),
        ("not (value / 0 > 1)", false),
        ("value / 0 > 1 or value == 5", true),
        ("value / 0 > 1 and value == 5", false),
    ] {
        let expected = if outcome { "00:00 a raise red" } else { "" };
        check(
            &format!("levels: {{ red: \"{condition}\" }}"),
            "00:00 a 5",
            expected,
        );
    }
}

#[test]
fn durations_are_numbers_of_seconds() {
    check(
        "levels: { red: span(1h) / 60 >= 5 and span(1h) >= 5m }",
        "00:00 a 5 | 00:05 a 5",
        "00:05 a raise red",
    );
}

#[test]
fn results_are_rounded_before_comparison() {
    check(
        "levels: { red: rise(1h) >= 3 }",
        "00:00 a 7.1 | 00:10 a 10.1",
        "00:10 a raise red",
    );
    check(
        "levels: { red: value - 7.1 >= 3 }",
        "00:00 a 10.1",
        "00:00 a raise red",
    );
    check(
        "levels: { red: sum(1h) == 0.3 }",
        "00:00 a 0.1 | 00:10 a 0.2",
        "00:10 a raise red",
    );
}

#[test]
fn closed_windows_hold_their_oldest_end() {
    // at 01:00 the window [00:00, 01:00] still holds the 1; at 01:01 it does not
    for (function, held, gone) in [
        ("min(1h)", 1, 5),
        ("max(1h)", 9, 9),
        ("first(1h)", 1, 9),
        ("last(1h)", 5, 5),
        ("rise(1h)", 4, 0),
        ("fall(1h)", 4, 4),
        ("change(1h)", 4, -4),
        ("span(1h)", 3_600, 1_860),
        ("unchanged(1h)", 0, 0),
    ] {
        let condition =
            format!("(h == 1 and {function} == {held}) or (h == 2 and {function} == {gone})");
        let events = "00:00 a m=1,h=0 | 00:30 a m=9,h=0 | 01:00 a m=5,h=1 | 01:01 a m=5,h=2 | 01:02 a m=5,h=3";
        let expected = "01:00 a raise red | 01:02 a clear red";
        check(
            &format!("levels: {{ red: \"{condition}\" }}"),
            events,
            expected,
        );
    }
}

#[test]
fn half_open_windows_count_increments_once() {
    for (function, value) in [
        ("sum(1h)", 14.0),
        ("count(1h)", 2.0),
        ("mean(1h)", 7.0),
        ("stddev(1h)", 2.0),
    ] {
        // at 01:00 the window (00:00, 01:00] no longer holds the 1
        let body = format!("levels: {{ blue: \"{function} == {value} and last(1h) == 5\" }}");
        check(
            &body,
            "00:00 a 1 | 00:30 a 9 | 01:00 a 5",
            "01:00 a raise blue",
        );
    }
}

#[test]
fn slope_is_least_squares_per_hour_and_unknown_below_three_readings() {
    check(
        "levels: { blue: slope(2h) > 0, red: slope(2h) == 4 }",
        "00:00 a 10 | 00:30 a 12 | 01:00 a 14 | 01:30 a 30",
        "01:00 a raise red | 01:30 a change blue",
    );
    check(
        "levels: { blue: slope(2h) < 5 or slope(2h) >= 5 }",
        "00:00 a 10 | 00:30 a 12",
        "",
    );
}

#[test]
fn a_window_is_what_it_holds_from_the_first_reading_on() {
    check(
        "levels: { blue: unchanged(2h), red: unchanged(2h) and span(2h) >= 2h }",
        "00:00 a 5 | 01:00 a 5 | 02:00 a 5 | 02:30 a 6",
        "00:00 a raise blue | 02:00 a change red | 02:30 a clear red",
    );
}

#[test]
fn a_window_over_another_measurement_ends_with_the_rule_and_is_unknown_when_empty() {
    check(
        "levels: { blue: \"value > 0 and max(h, 1h) >= 3\", red: \"value > 0 and count(h, 1h) == 0\" }",
        "00:00 a h=3 | 00:01 a 1 | 01:00 a 1 | 01:01 a 1",
        "00:01 a raise blue | 01:00 a change red",
    );
}

#[test]
fn another_measurement_counts_until_it_is_stale() {
    check(
        "levels: { red: value >= 10 and h <= 20 }",
        "00:00 sensor a stale=1h | 00:00 a 12 | 00:10 a h=15 | 01:10 a 12 | 01:11 a 5 | 01:12 a 12 | 01:13 a h=15",
        // at 01:11 `value` alone makes the condition false; at 01:12 h is 62 minutes old
        "00:10 a raise red | 01:11 a clear red | 01:13 a raise red",
    );
}

#[test]
fn staleness_is_four_intervals_else_a_day() {
    check(
        "levels: { red: value >= 10 and h <= 20 }",
        "00:00 sensor a interval=10m | 00:00 a h=15 | 00:00 b h=15
         00:41 a 12 | 23:00 b 12 | 24:00 b 5 | 24:01 b 12",
        "23:00 b raise red | 24:00 b clear red",
    );
}

#[test]
fn the_own_value_is_stale_when_only_another_measurement_arrives() {
    check(
        "levels: { red: value >= 10 and h <= 20 }",
        "00:00 sensor a stale=1h | 00:00 a 12 | 02:00 a h=15 | 02:01 a 12",
        "02:01 a raise red",
    );
}

#[test]
fn one_observation_is_seen_whole() {
    check(
        "levels: { red: value >= 10 and h <= 20 }",
        "00:00 a m=5,h=15 | 00:01 a m=12,h=50 | 00:02 a h=10,m=12",
        "00:02 a raise red",
    );
}

#[test]
fn for_is_proven_at_the_first_reading_at_or_after() {
    check(
        "levels: { red: value >= 20 for 2m }",
        "00:00 a 25 | 00:01 a 25 | 00:01:59 a 25 | 00:02 a 25 | 00:03 a 5 | 00:04 a 25 | 00:05 a 5 | 00:06 a 25 | 00:09 a 25",
        "00:02 a raise red | 00:03 a clear red | 00:09 a raise red",
    );
}

#[test]
fn samples_are_in_a_row() {
    check(
        "levels: { red: value >= 20 in 3 samples }",
        "00:00 a 25 | 00:01 a 25 | 00:02 a 5 | 00:03 a 25 | 00:04 a 25 | 00:05 a 25 | 00:06 a 5",
        "00:05 a raise red | 00:06 a clear red",
    );
}

#[test]
fn both_proofs_must_hold() {
    check(
        "levels: { red: value >= 20 for 5m in 3 samples }",
        "00:00 a 25 | 00:06 a 25 | 00:07 a 25",
        "00:07 a raise red",
    );
    check(
        "levels: { red: value >= 20 in 3 samples for 5m }",
        "00:00 a 25 | 00:01 a 25 | 00:02 a 25 | 00:05 a 25",
        "00:05 a raise red",
    );
}

#[test]
fn proofs_bind_to_the_nearest_comparison() {
    check(
        "levels: { red: value >= 20 for 5m and h <= 10 }",
        "00:00 a m=25,h=50 | 00:04 a m=25,h=50 | 00:05 a m=25,h=5",
        "00:05 a raise red",
    );
}

#[test]
fn an_unproven_comparison_is_unknown_and_not_false() {
    // not (unknown) raises nothing; false makes it true at once
    check(
        "levels: { red: not (value >= 20 for 5m) }",
        "00:00 a 25 | 00:01 a 25 | 00:06 a 25 | 00:07 a 5",
        "00:07 a raise red",
    );
}

#[test]
fn a_gap_starts_a_proof_anew() {
    check(
        "levels: { red: value >= 20 for 10m }",
        "00:00 sensor a stale=5m | 00:00 a 25 | 00:05 a 25 | 00:11 a 25 | 00:16 a 25 | 00:21 a 25",
        "00:21 a raise red",
    );
    check(
        "levels: { red: value >= 20 in 2 samples }",
        "00:00 sensor a stale=5m | 00:00 a 25 | 00:06 a 25 | 00:11 a 25",
        "00:11 a raise red",
    );
}

#[test]
fn unknown_breaks_a_run() {
    check(
        "levels: { red: 10 / value > 1 for 10m }",
        "00:00 a 1 | 00:05 a 0 | 00:10 a 1 | 00:15 a 1 | 00:20 a 1",
        "00:20 a raise red",
    );
}

#[test]
fn readings_of_another_measurement_prove_nothing_about_this_one() {
    check(
        "levels: { red: value >= 20 in 2 samples and h > 0 }",
        "00:00 a m=25,h=1 | 00:01 a h=1 | 00:02 a h=1 | 00:03 a 25",
        "00:03 a raise red",
    );
}

#[test]
fn units_are_converted_where_a_rule_asks_for_one() {
    let counts = check(
        "unit: cm, levels: { red: value >= 29 }",
        "00:00 a 0.29[m] | 00:01 a 28[cm] | 00:02 a 50[mm] | 00:03 a 290[mm] | 00:04 a 5[kPa] | 00:05 a 30 | 00:06 a 99[kPa] | 00:07 a 1[cm]",
        "00:00 a raise red | 00:01 a clear red | 00:03 a raise red | 00:07 a clear red",
    );
    assert_eq!(counts.unit_errors, 2);
    let error = &counts.unit_newest[0];
    assert_eq!(
        (
            error.rule.as_str(),
            error.sensor.as_str(),
            error.unit.as_str()
        ),
        ("r", "a", "kPa")
    );
    assert_eq!(
        (error.wanted.as_str(), error.times, error.position),
        ("cm", 2, 8)
    );
}

#[test]
fn without_a_unit_values_are_taken_as_they_come() {
    let counts = check(
        "levels: { red: value >= 29 }",
        "00:00 a 0.29[m] | 00:01 a 29[parrots]",
        "00:01 a raise red",
    );
    assert_eq!(counts.unit_errors, 0);
}

#[test]
fn a_window_holds_converted_values() {
    check(
        "unit: cm, levels: { red: rise(1h) >= 5 }",
        "00:00 a 0.10[m] | 00:10 a 12[cm] | 00:20 a 3[kPa] | 00:30 a 0.15[m]",
        "00:30 a raise red",
    );
}

#[test]
fn remote_values_trigger_and_go_stale_by_the_clock() {
    let body = "where: { kind: pit }, levels: { red: \"value > 5 and sensor(gauge, rain) >= 10\" }";
    check(
        body,
        "00:00 sensor p-2 kind=pit | 00:00 sensor p-1 kind=pit | 00:00 sensor gauge stale=30m
         00:00 p-1 6 | 00:01 p-2 6 | 00:02 p-3 6
         00:03 gauge rain=5 | 00:10 gauge rain=12 | 00:20 gauge rain=3 @00:05 | 00:30 gauge rain=4
         00:40 gauge rain=12 | 01:10 p-1 7 | 01:11 p-1 3 | 01:12 p-1 7 | 01:13 gauge rain=11",
        "00:10 p-1 raise red | 00:10 p-2 raise red | 00:30 p-1 clear red | 00:30 p-2 clear red
         00:40 p-1 raise red | 00:40 p-2 raise red
         01:11 p-1 clear red | 01:13 p-1 raise red",
    );
}

#[test]
fn a_rule_may_name_its_own_sensor_remotely() {
    check(
        "levels: { red: \"value > sensor(b, m)\" }",
        "00:00 b 5 | 00:01 a 6 | 00:02 b 7",
        "00:01 a raise red | 00:02 a clear red",
    );
}

#[test]
fn where_selects_by_tags_sensor_and_enclosing_zone() {
    let sensors = "00:00 zones cell>street street>district | 00:00 sensor a kind=pit zone=cell | 00:00 sensor b kind=well zone=other | 00:00 sensor c";
    let readings = "00:01 a 9 | 00:01 b 9 | 00:01 c 9 | 00:01 d 9";
    for (selector, expected) in [
        ("{ kind: pit }", "00:01 a raise red"),
        (
            "{ kind: [pit, well] }",
            "00:01 a raise red | 00:01 b raise red",
        ),
        (
            "{ sensor: [c, d] }",
            "00:01 c raise red | 00:01 d raise red",
        ),
        ("{ zone: district }", "00:01 a raise red"),
        ("{ zone: street, kind: pit }", "00:01 a raise red"),
        ("{ zone: street, kind: well }", ""),
    ] {
        check(
            &format!("where: {selector}, levels: {{ red: value > 5 }}"),
            &format!("{sensors} | {readings}"),
            expected,
        );
    }
}

#[test]
fn a_rule_needs_its_own_measurement_at_the_sensor() {
    check(
        "levels: { red: h > 5 }",
        "00:00 a h=9 | 00:01 a m=1 | 00:02 b m=1,h=9",
        "00:01 a raise red | 00:02 b raise red",
    );
}

#[test]
fn output_is_ordered_by_rule_and_subject() {
    let rules = |id: &str| {
        format!(
            "{{ id: {id}, measurement: m, levels: {{ red: \"sensor(x, m) > 5 and value > 0\" }} }}"
        )
    };
    let set = sources(&[
        rules("b.rule"),
        rules("a.rule"),
        rule("levels: { red: value > 5 }"),
    ]);
    check_sets(
        &[set],
        "00:00 z 1 | 00:00 y 1 | 00:01 x 6",
        None,
        "00:01 a.rule x raise red | 00:01 a.rule y raise red | 00:01 a.rule z raise red
         00:01 b.rule x raise red | 00:01 b.rule y raise red | 00:01 b.rule z raise red | 00:01 x raise red",
    );
}

#[test]
fn another_measurement_that_arrives_stale_is_unknown() {
    check(
        "levels: { red: h < 5 }",
        "00:00 sensor a stale=5m | 00:10 a 0 | 00:10 a h=0 @00:04 | 00:11 a h=0 @00:06",
        "00:11 a raise red",
    );
}
