//! `near`, `zone` and `count_near`: who is around, what they contribute, and when that is looked at.

use crate::support::{check, check_sets, rule, sources};

/// `a` and `b` 56 m apart, `c` 111 m from `a` and 56 m from `b`, `d` far away.
const STREET: &str = "00:00 sensor a at=31,121 stale=30m | 00:00 sensor b at=31.0005,121 stale=30m
    00:00 sensor c at=31.001,121 stale=30m | 00:00 sensor d at=31.1,121 stale=30m
    ";

fn on_the_street(body: &str, events: &str, expected: &str) {
    check(body, &format!("{STREET}{events}"), expected);
}

#[test]
fn the_neighbourhood_is_what_lies_within_the_distance() {
    on_the_street(
        "levels: { red: \"near(m, 100m, max(value)) >= 20\" }",
        "00:01 a 1 | 00:01 b 1 | 00:01 c 1 | 00:01 d 30 | 00:02 c 25 | 00:03 c 5",
        "00:02 b raise red | 00:03 b clear red",
    );
    on_the_street(
        "levels: { red: \"near(m, 200m, max(value)) >= 20\" }",
        "00:01 a 1 | 00:01 b 1 | 00:01 c 25",
        "00:01 a raise red | 00:01 b raise red",
    );
}

#[test]
fn each_aggregate_is_what_it_says() {
    for (condition, level) in [
        ("min(value)) == 2", true),
        ("max(value)) == 6", true),
        ("sum(value)) == 8", true),
        ("mean(value)) == 4", true),
        ("mean(value)) > 4", false),
    ] {
        on_the_street(
            &format!("where: {{ sensor: b }}, levels: {{ blue: \"near(m, 100m, {condition}\" }}"),
            "00:01 a 2 | 00:01 c 6 | 00:02 b 0",
            if level { "00:02 b raise blue" } else { "" },
        );
    }
    on_the_street(
        "levels: { blue: \"count_near(m, 100m, value >= 5) >= 2\" }",
        "00:01 b 0 | 00:01 a 7 | 00:02 c 5 | 00:03 a 1",
        "00:02 b raise blue | 00:03 b clear blue",
    );
}

#[test]
fn without_members_extremes_are_unknown_and_sums_are_nothing() {
    on_the_street(
        "levels: { blue: \"near(m, 1km, min(value)) < 5\" }",
        "00:01 d 1 | 00:02 d 1",
        "",
    );
    on_the_street(
        "levels: { blue: \"near(m, 1km, sum(value)) == 0\", red: \"count_near(m, 1km, value > 0) < 1\" }",
        "00:01 d 1",
        "00:01 d raise red",
    );
    // of whom it is not known where they stand, it is not known who is around
    check(
        "levels: { blue: \"near(m, 1km, sum(value)) == 0\", red: \"zone(m, sum(value)) == 0\" }",
        "00:01 x 1",
        "",
    );
}

#[test]
fn stale_members_do_not_take_part() {
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(value)) >= 20\" }, clear: value >= 0",
        "00:00 a 25 | 00:30 b 1 | 00:30 c 1 | 00:31 b 1 | 00:32 c 1",
        "00:30 b raise blue | 00:31 b clear blue",
    );
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"count_near(m, 100m, value >= 20) >= 1\" }",
        "00:00 a 25 | 00:30 b 1 | 00:31 c 1",
        "00:30 b raise blue | 00:31 b clear blue",
    );
}

#[test]
fn a_window_of_a_member_ends_at_its_own_newest_reading() {
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(rise(10m))) >= 5\" }",
        "00:01 a 1 | 00:01 b 1 | 00:09 a 6 | 00:20 b 1 | 00:21 a 6",
        "00:09 b raise blue | 00:21 b clear blue",
    );
    // a late reading fills it, and is seen when the rule is looked at the next time
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(sum(10m))) >= 5\" }",
        "00:01 b 1 | 00:10 a 3 | 00:11 a 2 @00:08 | 00:12 b 1",
        "00:12 b raise blue",
    );
}

#[test]
fn late_repeated_and_implausible_readings_touch_nobody() {
    check(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(value)) >= 20\" }",
        "00:00 sensor a at=31,121 max=100 | 00:00 sensor b at=31.0005,121 | 00:01 b 0 | 00:10 a 1
         00:11 a 30 @00:05 | 00:12 a 30 @00:10 | 00:13 a 130 | 00:14 a 30",
        "00:14 b raise blue",
    );
}

#[test]
fn units_of_the_rule_hold_for_its_own_measurement() {
    let counts = check(
        "unit: cm, where: { sensor: b }, levels: { blue: \"near(m, 100m, max(value)) >= 20\", red: \"near(h, 100m, max(value)) >= 20\" }",
        "00:00 sensor a at=31,121 | 00:00 sensor b at=31.0005,121 | 00:01 b 0 | 00:02 a m=0.1[m],h=0.5[m] | 00:03 a 0.3[m] | 00:04 a 3[kPa]",
        "00:03 b raise blue",
    );
    assert_eq!((counts.unit_errors, counts.readings), (1, 5));
    assert_eq!(
        (
            counts.unit_newest[0].sensor.as_str(),
            counts.unit_newest[0].times
        ),
        ("a", 1)
    );
}

#[test]
fn a_zone_is_itself_and_the_zones_inside_it() {
    check(
        "levels: { blue: \"zone(m, sum(value)) >= 10\" }",
        "00:00 zones cell>street street>district | 00:00 sensor a zone=cell | 00:00 sensor b zone=street
         00:00 sensor c zone=elsewhere | 00:01 a 4 | 00:01 c 3 | 00:02 b 6 | 00:03 c 12 | 00:04 a 3",
        // the cell alone never reaches 10
        "00:02 b raise blue | 00:03 c raise blue | 00:04 b clear blue",
    );
}

#[test]
fn a_registry_change_changes_who_is_around() {
    on_the_street(
        "levels: { blue: \"count_near(m, 100m, value > 5) >= 1\" }",
        "00:01 d 9 | 00:01 a 1 | 00:02 sensor d at=31.0003,121 | 00:03 a 1 | 00:04 remove d | 00:05 a 1",
        "00:03 a raise blue | 00:05 a clear blue",
    );
}

#[test]
fn proofs_follow_the_event_times_of_the_members() {
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(value)) >= 20 for 5m\", red: \"near(m, 100m, max(value)) >= 20 in 3 samples\" }",
        "00:01 b 0 | 00:02 a 25 | 00:05 c 25 | 00:07 a 25",
        "00:07 b raise red",
    );
    on_the_street(
        "where: { sensor: b }, levels: { blue: \"near(m, 100m, max(value)) >= 20 for 5m\" }",
        "00:01 b 0 | 00:02 a 25 | 00:05 b 0 | 00:07 c 1 | 00:08 a 1",
        "00:07 b raise blue | 00:08 b clear blue",
    );
}

#[test]
fn a_group_stands_beside_everything_else() {
    on_the_street(
        "where: { sensor: b }, levels: { red: \"value >= 10 and near(m, 100m, max(value)) >= 20 or age > 20m\" }",
        "00:01 b 11 | 00:02 a 25 | 00:03 b 1 | 00:04 b 12 | 00:30 tick",
        "00:02 b raise red | 00:03 b clear red | 00:04 b raise red",
    );
}

#[test]
fn it_counts_what_has_come_since_a_rule_names_it() {
    let group = rule("levels: { blue: \"count_near(m, 100m, value > 5) >= 1\" }");
    check_sets(
        &[sources(&[]), sources(&[group])],
        &format!(
            "{STREET}00:01 a 9 | 00:01 b 1 | 00:02 rules 1 | 00:03 b 1 | 00:04 a 9 | 00:05 rules 0 | 00:06 b 1"
        ),
        None,
        "00:04 b raise blue | 00:05 b clear blue unwatched",
    );
}

#[test]
fn hold_is_waited_for_after_a_group_changes_although_another_level_names_age() {
    let rules = "{ id: r, measurement: h, hold: 5m, levels: { orange: 'count_near(m, 2km, value >= 0) <= 0 for 5m', red: '2 * interval < age' } }";
    let events = "00:00 sensor s0 at=31,117 stale=5m | 00:00 sensor s4 at=31.0102,117 interval=120m
        00:00 s4 h=0 | 01:00 s0 m=0 @00:50 | 01:05 s0 m=0 | 01:06 s0 m=0 | 01:10 s0 m=0";
    check_sets(
        &[sources(&[rules.to_owned()])],
        events,
        None,
        "01:00 s4 raise orange | 01:10 s4 clear orange",
    );
}
