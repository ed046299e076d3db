//! What windows hold: from which reading on, and that nothing is left of what they no longer hold.

use crate::support::{check, check_with};

#[test]
fn a_window_over_another_measurement_holds_what_came_before_the_rule_s_own() {
    check(
        "levels: { blue: \"value * max(h, 2h) > 0\" }",
        "00:00 a h=5 | 00:05 a h=0 | 00:05 a m=5",
        "00:05 a raise blue",
    );
    check(
        "levels: { blue: \"sum(h, 1h) == 12 and count(h, 1h) == 3\" }",
        "00:00 a h=1 | 00:30 a h=4 | 00:50 a h=3 | 00:50 a h=5 @00:40 | 01:00 a m=0",
        "01:00 a raise blue",
    );
}

#[test]
fn a_baseline_over_another_measurement_does_so_too() {
    check(
        "levels: { blue: \"value > baseline(h, 1d)\" }",
        "00:00 a h=5 | 00:30 a h=15 | 24:00 a m=11",
        "24:00 a raise blue",
    );
}

#[test]
fn a_derived_series_does_so_too() {
    check_with(
        &["{ id: d, measurement: d, value: \"x + max(h, 2h)\" }"],
        "levels: { blue: \"d >= 9\" }",
        "00:00 a m=0 | 00:00 a h=8 | 00:05 a h=0 | 00:10 a h=0,x=1 | 00:20 a m=0",
        "00:10 a raise blue",
    );
}

#[test]
fn it_holds_nothing_that_came_while_the_rule_did_not_select_the_sensor() {
    check(
        "where: { kind: pit }, levels: { blue: \"max(h, 2h) > 0\" }",
        "00:00 a h=5 | 00:05 a h=0 | 00:10 sensor a kind=pit | 00:10 a m=5",
        "",
    );
    check(
        "where: { kind: pit }, levels: { blue: \"max(h, 2h) == 4\" }",
        "00:00 a h=5 | 00:01 a h=4 | 00:05 sensor a kind=pit | 00:06 a h=0 | 00:10 a m=5",
        "00:10 a raise blue",
    );
}

#[test]
fn nothing_is_left_of_what_a_window_has_lost() {
    check(
        "levels: { orange: \"stddev(5m) > 0\" }",
        "00:00 a 5 | 00:05 a 0.166666667 | 00:10 a 0",
        "",
    );
    check(
        "levels: { orange: \"stddev(10m) > 0\" }",
        "00:00 a 1000000 | 00:05 a 0.1 | 00:10 a 0.1 | 00:14 a 0.1 | 00:19 a 0.1",
        "00:05 a raise orange | 00:10 a clear orange",
    );
    check(
        "levels: { orange: \"sum(10m) != 0.3\" }",
        "00:00 a 1000000000 | 00:05 a 0.1 | 00:09 a 0.1 | 00:14 a 0.1",
        "00:00 a raise orange | 00:14 a clear orange",
    );
}
