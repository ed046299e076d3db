//! Silence: moments that pass by themselves, and what counts as the beginning of a silence.

use crate::support::{check, check_sets, check_until, records, rule, sources, staged};

const SILENT: &str = "levels: { blue: age > 60m }";

#[test]
fn a_moment_fires_before_any_later_record_and_carries_its_own_time() {
    check(
        SILENT,
        "00:00 a 1 | 00:30 a 1 | 01:31 tick | 01:40 a 1 | 03:00 b 5",
        "01:30 a raise blue | 01:40 a clear blue | 02:40 a raise blue",
    );
    let records = records(
        "00:00 rules 0 | 00:00 a 1 | 01:00 tick | 02:00 b 5",
        &[sources(&[rule(SILENT)])],
    );
    let (transitions, _) = staged(&records, None);
    assert_eq!(
        (transitions[0].time, transitions[0].position),
        (crate::support::time("01:00"), 4)
    );
}

#[test]
fn a_reading_at_that_very_moment_wins() {
    for operator in [">", ">="] {
        let body = format!("levels: {{ blue: age {operator} 60m }}");
        check_until(
            &body,
            "00:00 a 1 | 01:00 tick | 01:00 a 1 | 02:00 a 1",
            "03:00",
            "03:00 a raise blue",
        );
        check(
            &format!("levels: {{ blue: 60m {} age }}", operator.replace('>', "<")),
            "00:00 a 1 | 01:00 b 1 | 01:00:01 b 1",
            "01:00 a raise blue",
        );
    }
}

#[test]
fn the_clock_of_a_backtest_ends_where_it_is_told() {
    check_until(SILENT, "00:00 a 1", "00:59", "");
    check_until(SILENT, "00:00 a 1", "01:00", "01:00 a raise blue");
}

#[test]
fn moments_fire_in_order_of_time_rule_and_subject() {
    let named = |id: &str, minutes: u32| {
        format!("{{ id: {id}, measurement: m, levels: {{ blue: age > {minutes}m }} }}")
    };
    check_sets(
        &[sources(&[named("q", 60), named("p", 60), named("s", 50)])],
        "00:00 b 1 | 00:00 a 1 | 02:00 tick",
        None,
        "00:50 s a raise blue | 00:50 s b raise blue
         01:00 p a raise blue | 01:00 p b raise blue | 01:00 q a raise blue | 01:00 q b raise blue",
    );
}

#[test]
fn each_level_has_its_own_moment() {
    check(
        "levels: { blue: age > 1h, yellow: age > 2h, red: age > 1d }",
        "00:00 a 1 | 23:00 tick | 24:30 tick | 24:40 a 1 | 26:00 tick",
        "01:00 a raise blue | 02:00 a change yellow | 24:00 a change red | 24:40 a clear red | 25:40 a raise blue",
    );
}

#[test]
fn a_registered_sensor_that_never_speaks_is_noticed() {
    check(
        SILENT,
        "00:00 start | 00:10 sensor a | 00:10 sensor b measures=m,h | 00:10 sensor c measures=h | 02:00 tick",
        "01:10 a raise blue | 01:10 b raise blue",
    );
    // one that is not selected is not
    check(
        "where: { kind: pit }, levels: { blue: age > 60m }",
        "00:10 sensor a | 00:10 sensor b kind=pit | 02:00 tick",
        "01:10 b raise blue",
    );
}

#[test]
fn an_undeclared_sensor_that_speaks_of_something_else_is_not_missed() {
    // but an alert that is open stays so: other data is no recovery
    check(
        SILENT,
        "00:00 sensor a | 00:00 sensor b | 00:00 sensor c measures=m,h | 00:30 b h=1 | 00:40 c h=1 | 02:00 a h=1 | 09:00 tick",
        "01:00 a raise blue | 01:00 c raise blue",
    );
}

#[test]
fn a_start_or_reconnection_raises_no_storm_and_clears_nothing() {
    check(
        SILENT,
        "00:00 a 1 | 00:00 b 1 | 00:40 b 1 | 01:10 start | 01:20 down | 01:50 up | 02:45 a 1 | 02:49 tick | 02:51 tick | 03:00 b 1",
        // a is silent since 00:00 and stays so over both; b is counted from the reconnection
        "01:00 a raise blue | 02:45 a clear blue | 02:50 b raise blue | 03:00 b clear blue",
    );
}

#[test]
fn after_a_start_age_is_unknown_until_something_is_heard() {
    check(
        "levels: { blue: value > 5 }, clear: age < 10m",
        "00:00 a 9 | 00:30 start | 00:31 a 1",
        "00:00 a raise blue | 00:31 a clear blue",
    );
    check(
        "levels: { blue: h > 5 and not (age > 1h) }",
        "00:00 a m=1,h=1 | 00:30 start | 00:31 a h=9 | 00:32 a 1",
        "00:32 a raise blue",
    );
}

#[test]
fn an_observation_of_something_else_does_not_end_a_silence() {
    check(
        "levels: { blue: age > 60m and h > 5 }",
        "00:00 a m=1,h=1 | 00:30 a h=9 | 01:10 a h=9 | 01:20 a h=1 | 01:30 a h=9 | 01:31 a 1",
        "01:00 a raise blue | 01:20 a clear blue | 01:30 a raise blue | 01:31 a clear blue",
    );
}

#[test]
fn late_repeated_and_implausible_readings_do_not_end_a_silence() {
    check(
        SILENT,
        "00:00 sensor a max=100 | 00:30 a 1 | 00:50 a 1 @00:30 | 00:55 a 2 @00:10 | 01:20 a 999 | 01:40 tick | 01:50 a 1 @00:20",
        "01:30 a raise blue",
    );
}

#[test]
fn for_on_age_is_proven_by_the_clock() {
    check(
        "levels: { blue: age > 60m for 10m }",
        "00:00 a 1 | 01:05 a 1 | 02:10 tick | 02:15 tick | 02:16 a 1 | 04:00 tick",
        "02:15 a raise blue | 02:16 a clear blue | 03:26 a raise blue",
    );
}

#[test]
fn at_a_moment_the_other_parts_stand_as_they_are() {
    check(
        "levels: { blue: value > 5 and age > 10m, red: value > 5 in 2 samples and age > 20m }",
        "00:00 a 9 | 01:00 a 9 | 02:00 a 1 | 03:00 tick",
        "00:10 a raise blue | 01:00 a clear blue | 01:10 a raise blue | 01:20 a change red | 02:00 a clear red",
    );
}

#[test]
fn a_rule_that_comes_late_fires_at_once() {
    check_sets(
        &[
            sources(&[]),
            sources(&[rule("levels: { blue: age > 1h, red: age > 2h }")]),
        ],
        "00:00 a 1 | 00:00 b 1 | 02:30 b 1 | 03:00 rules 1 | 03:00 tick | 03:01 tick | 03:31 tick",
        None,
        "03:00 a raise red | 03:30 b raise blue",
    );
}

#[test]
fn a_silent_sensor_keeps_its_alert_open() {
    check(
        "levels: { red: value >= 20 }",
        "00:00 sensor a stale=10m | 00:00 a 25 | 48:00 tick",
        "00:00 a raise red",
    );
}

#[test]
fn hold_on_age_ends_by_itself() {
    check(
        "hold: 5m, levels: { blue: value > 5 and age < 10m }",
        "00:00 a 6 | 01:00 tick",
        "00:00 a raise blue | 00:15 a clear blue",
    );
    // a reading at the very moment proves it too
    check(
        "hold: 5m, levels: { blue: age > 60m }",
        "00:00 a 1 | 02:00 a 1 | 02:05 a 1",
        "01:00 a raise blue | 02:05 a clear blue",
    );
}

#[test]
fn a_start_at_the_very_clock_of_a_reading_is_no_later_than_it() {
    for events in [
        "00:00 a 0 | 01:00 a 0 | 01:00 start | 01:15 tick",
        "00:00 a 0 | 01:00 start | 01:00 a 0 | 01:15 tick",
    ] {
        check(
            "hold: 5m, levels: { blue: 30m < age }",
            events,
            "00:30 a raise blue | 01:05 a clear blue",
        );
    }
}

#[test]
fn an_alert_over_a_silence_that_is_nobody_s_concern_ends_for_good() {
    let rules = sources(&[
        "{ id: r, measurement: m, levels: { blue: \"age > 1h and not (sensor(b, m) > 5)\" } }"
            .to_owned(),
    ]);
    // `a` turns out to speak of h only; its alert stays open until its condition is false
    check_sets(
        &[rules],
        "00:00 sensor a | 00:00 b 1 | 01:30 a h=1 | 01:40 b 6 | 01:50 b 1 | 03:00 b 1 | 04:00 tick",
        None,
        "01:00 a raise blue | 01:00 b raise blue | 01:40 a clear blue | 01:40 b clear blue | 02:50 b raise blue
         03:00 b clear blue",
    );
}
