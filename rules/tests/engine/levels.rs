//! Levels, `hold` and `clear`; late, repeated and implausible readings; changes of rules and registry.

use crate::support::{check, check_sets, rule, sources};

const FOUR: &str =
    "levels: { blue: value >= 10, yellow: value >= 15, orange: value >= 20, red: value >= 27 }";

#[test]
fn rises_at_once_to_the_worst_and_falls_to_the_first_not_false() {
    check(
        FOUR,
        "00:00 a 12 | 00:01 a 30 | 00:02 a 21 | 00:03 a 12 | 00:04 a 30 | 00:05 a 5",
        "00:00 a raise blue | 00:01 a change red | 00:02 a change orange | 00:03 a change blue | 00:04 a change red | 00:05 a clear red",
    );
}

#[test]
fn a_level_that_is_unknown_stops_the_fall() {
    check(
        "levels: { yellow: 100 / h >= 1, red: value >= 20 }",
        "00:00 a m=25,h=0 | 00:01 a m=5,h=0 | 00:02 a h=0 | 00:03 a h=500",
        "00:00 a raise red | 00:01 a change yellow | 00:03 a clear yellow",
    );
}

#[test]
fn with_hold_each_level_passed_must_have_been_false_that_long() {
    check(
        &format!("{FOUR}, hold: 5m"),
        "00:00 a 30 | 00:01 a 12 | 00:02 a 30 | 00:03 a 12 | 00:07 a 16 | 00:08 a 12 | 00:12 a 5 | 00:13 a 5 | 00:17 a 5",
        // red and orange are false from 00:03; yellow from 00:08, blue from 00:12
        "00:00 a raise red | 00:08 a change yellow | 00:13 a change blue | 00:17 a clear blue",
    );
}

#[test]
fn a_gap_starts_hold_anew_and_unknown_breaks_it() {
    check(
        "levels: { red: value >= 20 }, hold: 5m",
        "00:00 sensor a stale=4m | 00:00 a 25 | 00:01 a 5 | 00:08 a 5 | 00:12 a 5 | 00:13 a 5",
        "00:00 a raise red | 00:13 a clear red",
    );
    check(
        "levels: { red: 100 / value >= 5 }, hold: 5m",
        "00:00 a 20 | 00:01 a 50 | 00:03 a 0 | 00:06 a 50 | 00:10 a 50 | 00:11 a 50",
        "00:00 a raise red | 00:11 a clear red",
    );
}

#[test]
fn an_alert_ends_only_when_clear_is_true() {
    check(
        "levels: { yellow: value >= 15, red: value >= 27 }, clear: value < 8 for 30m",
        "00:00 a 30 | 00:10 a 20 | 00:20 a 10 | 00:30 a 7 | 00:40 a 9 | 00:50 a 7 | 01:20 a 7 | 01:30 a 30 | 01:40 a 7 | 01:50 a 16",
        // from red straight to none is not allowed either: the level stays as it is
        "00:00 a raise red | 00:10 a change yellow | 01:20 a clear yellow | 01:30 a raise red | 01:50 a change yellow",
    );
}

#[test]
fn the_example_of_the_language() {
    check(
        "unit: cm, levels: { blue: value >= 10 for 2m, yellow: value >= 15 for 2m or rise(10m) >= 5, orange: value >= 20, red: value >= 27 in 2 samples }, clear: value < 8 for 30m, hold: 5m",
        "00:00 u-1 5 | 00:10 u-1 28 | 00:11 u-1 29 | 00:20 u-1 7 | 00:50 u-1 6",
        "00:10 u-1 raise orange | 00:11 u-1 change red | 00:50 u-1 clear red",
    );
}

#[test]
fn unknown_raises_nothing_and_clears_nothing() {
    check(
        "levels: { red: value / h > 1 }",
        "00:00 sensor a stale=10m | 00:00 a 5 | 00:01 a h=1 | 00:02 a m=9,h=0 | 00:20 a 1 | 00:21 a m=1,h=2",
        "00:01 a raise red | 00:21 a clear red",
    );
}

#[test]
fn a_late_reading_fills_windows_and_does_nothing_else() {
    let counts = check(
        "levels: { red: value >= 20 in 2 samples, blue: min(30m) <= 1 }",
        "00:10 a 25 | 00:11 a 2 @00:09 | 00:12 a 1 @00:08 | 00:13 a 50 @00:07 | 00:14 a 25",
        "00:14 a raise red",
    );
    assert_eq!((counts.late, counts.conflicts, counts.readings), (3, 0, 5));
    check(
        "levels: { red: value >= 20 in 2 samples, blue: min(30m) <= 1 }",
        "00:10 a 25 | 00:12 a 1 @00:08 | 00:14 a 5",
        "00:14 a raise blue",
    );
    check(
        "levels: { red: sum(30m) >= 10 }",
        "00:10 a 4 | 00:12 a 4 @00:08 | 00:14 a 4",
        "00:14 a raise red",
    );
    // an older reading than any window reaches is late and gone
    check(
        "levels: { red: count(5m) >= 3 }",
        "00:10 a 4 | 00:12 a 4 @00:01 | 00:14 a 4 | 00:15 a 4",
        "",
    );
}

#[test]
fn a_late_reading_breaks_no_run() {
    check(
        "levels: { red: value >= 20 for 5m }",
        "10:00 a 25 | 10:03 a 5 @09:59 | 10:04 a 25 | 10:05 a 25",
        "10:05 a raise red",
    );
}

#[test]
fn the_first_value_wins() {
    let counts = check(
        "levels: { red: value >= 20 }",
        "00:00 a 5 | 00:01 a 25 @00:00 | 00:02 a 5 @00:00 | 00:03 a 30 | 00:04 a 1 @00:03",
        "00:03 a raise red",
    );
    assert_eq!((counts.conflicts, counts.repeats, counts.late), (2, 1, 0));
    // older ones too, as far as a window holds them
    let counts = check(
        "levels: { red: sum(1h) >= 20 }",
        "00:00 a 5 | 00:01 a 6 | 00:02 a 5 @00:00 | 00:03 a 7 @00:00 | 00:04 a 6 @00:01 | 00:05 a 8",
        "",
    );
    assert_eq!((counts.conflicts, counts.repeats, counts.late), (1, 2, 0));
}

#[test]
fn an_observation_with_one_new_value_is_evaluated() {
    check(
        "levels: { red: value >= 20 and h <= 10 }",
        "00:00 a 25 | 00:01 a m=5,h=5 @00:00 | 00:02 a m=5,h=50 @00:00",
        "00:01 a raise red",
    );
}

#[test]
fn what_is_implausible_is_invisible() {
    let counts = check(
        "levels: { red: value >= 20 in 2 samples }",
        "00:00 sensor a min=0 max=100 | 00:00 a 25 | 00:01 a -5 | 00:02 a 999 | 00:03 a 50 | 00:04 a -999 | 00:05 a 5",
        "00:03 a raise red | 00:05 a clear red",
    );
    assert_eq!((counts.implausible, counts.readings), (3, 6));
    // and does not stand in the way of the plausible one of the same time
    check(
        "levels: { red: value >= 20 }",
        "00:00 sensor a max=100 | 00:00 a 999 | 00:01 a 50 @00:00",
        "00:01 a raise red",
    );
}

#[test]
fn a_sensor_that_no_longer_matches_or_is_gone_is_unwatched() {
    check(
        "where: { kind: pit }, levels: { red: value >= 20 }",
        "00:00 sensor a kind=pit | 00:00 sensor b kind=pit | 00:01 a 25 | 00:01 b 25
         00:02 sensor a kind=well | 00:03 remove b | 00:04 a 30 | 00:04 b 30 | 00:05 sensor a kind=pit | 00:06 a 30",
        "00:01 a raise red | 00:01 b raise red | 00:02 a clear red unwatched | 00:03 b clear red unwatched | 00:06 a raise red",
    );
}

#[test]
fn a_new_zone_tree_selects_anew() {
    check(
        "where: { zone: east }, levels: { red: value >= 20 }",
        "00:00 zones c1>east c2>west | 00:00 sensor a zone=c1 | 00:00 sensor b zone=c2 | 00:01 a 25 | 00:01 b 25
         00:02 zones c1>west c2>east | 00:03 a 26 | 00:03 b 26",
        "00:01 a raise red | 00:02 a clear red unwatched | 00:03 b raise red",
    );
}

#[test]
fn an_unchanged_rule_survives_a_new_rule_set_and_a_changed_one_starts_afresh() {
    let same = "{ id: same, measurement: m, levels: { red: value >= 20 in 3 samples } }".to_owned();
    let old = "{ id: edited, measurement: m, levels: { red: value >= 20 } }".to_owned();
    let new =
        "{ id: edited, measurement: m, levels: { orange: value >= 20 in 2 samples } }".to_owned();
    let gone = "{ id: gone, measurement: m, levels: { blue: value >= 20 } }".to_owned();
    check_sets(
        &[sources(&[same.clone(), old, gone]), sources(&[same, new])],
        "00:00 b 25 | 00:00 a 25 | 00:01 a 25 | 00:02 rules 1 | 00:03 a 25 | 00:04 a 25 | 00:05 a 5",
        None,
        "00:00 edited b raise red | 00:00 gone b raise blue | 00:00 edited a raise red | 00:00 gone a raise blue
         00:02 edited a clear red unwatched | 00:02 edited b clear red unwatched
         00:02 gone a clear blue unwatched | 00:02 gone b clear blue unwatched
         00:03 same a raise red | 00:04 edited a raise orange
         00:05 edited a clear orange | 00:05 same a clear red",
    );
}

#[test]
fn a_changed_rule_uses_the_readings_that_are_held() {
    let set = |condition: &str| sources(&[rule(&format!("levels: {{ red: {condition} }}"))]);
    check_sets(
        &[
            set("sum(1h) >= 1000"),
            set("sum(30m) >= 12"),
            set("sum(2h) >= 16"),
        ],
        "00:00 a 4 | 00:20 a 4 | 00:40 rules 1 | 00:41 a 4 | 00:45 rules 2 | 00:46 a 4 | 00:50 a 4",
        None,
        // 30 minutes back from 00:41 lies 00:20; two hours back only what half an hour had kept is left
        "00:50 a raise red",
    );
}

#[test]
fn transitions_carry_the_newest_value_in_the_unit_of_the_rule() {
    let set = sources(&[rule("unit: cm, levels: { red: value >= 20 }")]);
    let records =
        crate::support::records("00:00 rules 0 | 00:00 a 0.25[m] | 00:01 a 3[cm]", &[set]);
    let (transitions, _) = crate::support::staged(&records, None);
    assert_eq!(
        transitions
            .iter()
            .map(|t| (t.position, t.value))
            .collect::<Vec<_>>(),
        [(2, Some(25.0)), (3, Some(3.0))]
    );
}
