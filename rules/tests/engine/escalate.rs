//! `escalate:`: two sensors close to each other at a level raise it by one.

use crate::support::{check, check_sets, rule, sources};

const PITS: &str = "00:00 sensor a at=31,121 stale=30m | 00:00 sensor b at=31.0005,121 stale=30m
    00:00 sensor c at=31.001,121 stale=30m
    ";
const RULE: &str = "levels: { blue: value >= 10, yellow: value >= 20, red: value >= 40 }, escalate: { within: 100m }";

fn at_the_pits(body: &str, events: &str, expected: &str) {
    check(body, &format!("{PITS}{events}"), expected);
}

#[test]
fn two_pits_at_a_level_raise_each_other_by_one() {
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:02 b 11 | 00:03 a 5 | 00:04 b 5",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow
         00:03 a clear yellow | 00:03 b change blue | 00:04 b clear blue",
    );
}

#[test]
fn the_raise_counts_from_the_level_that_they_share() {
    at_the_pits(
        RULE,
        "00:01 a 45 | 00:02 b 11 | 00:03 b 25",
        // red is the worst; at b blue is shared first, then yellow
        "00:01 a raise red | 00:02 b raise yellow | 00:03 b change orange",
    );
    at_the_pits(
        RULE,
        "00:01 a 25 | 00:02 b 11",
        // blue is shared: yellow, which a has by itself
        "00:01 a raise yellow | 00:02 b raise yellow",
    );
}

#[test]
fn a_raise_is_never_passed_on() {
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:01 b 12 | 00:02 c 45",
        "00:01 a raise blue | 00:01 a change yellow | 00:01 b raise yellow | 00:02 c raise red",
    );
}

#[test]
fn more_sensors_may_be_wanted() {
    at_the_pits(
        "levels: { blue: value >= 10 }, escalate: { within: 200m, sensors: 3 }",
        "00:01 a 12 | 00:02 b 12 | 00:03 c 12",
        "00:01 a raise blue | 00:02 b raise blue | 00:03 a change yellow | 00:03 b change yellow | 00:03 c raise yellow",
    );
}

#[test]
fn a_stale_neighbour_does_not_count() {
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:40 b 12 | 00:41 a 12",
        // it counts others that are not
        "00:01 a raise blue | 00:40 a change yellow | 00:40 b raise blue | 00:41 b change yellow",
    );
    // and once it is silent for too long, the next reading says so
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:02 b 12 | 00:20 b 12 | 00:32 b 12",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:32 b change blue",
    );
}

#[test]
fn without_a_place_nothing_is_raised() {
    check(
        RULE,
        "00:00 sensor a at=31,121 | 00:01 a 12 | 00:02 x 12 | 00:03 y 12",
        "00:01 a raise blue | 00:02 x raise blue | 00:03 y raise blue",
    );
}

#[test]
fn hold_and_clear_work_below_it() {
    at_the_pits(
        "levels: { blue: value >= 10 }, hold: 5m, clear: value < 8, escalate: { within: 100m }",
        "00:01 a 12 | 00:02 b 12 | 00:03 a 9 | 00:09 a 9 | 00:10 a 7 | 00:11 b 12",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:10 a clear yellow | 00:10 b change blue",
    );
}

#[test]
fn a_sensor_that_leaves_takes_its_share_along() {
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:02 b 12 | 00:03 remove a",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:03 a clear yellow unwatched | 00:03 b change blue",
    );
    at_the_pits(
        RULE,
        "00:01 a 12 | 00:02 b 12 | 00:03 sensor a at=32,121",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:03 a change blue | 00:03 b change blue",
    );
}

#[test]
fn a_rule_that_leaves_ends_and_one_with_another_name_goes_on() {
    let renamed = format!("name: pits, mode: shadow, {RULE}");
    check_sets(
        &[
            sources(&[rule(RULE)]),
            sources(&[rule(&renamed)]),
            sources(&[]),
        ],
        &format!("{PITS}00:01 a 12 | 00:02 b 12 | 00:03 rules 1 | 00:04 a 12 | 00:05 rules 2"),
        None,
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:05 a clear yellow unwatched | 00:05 b clear yellow unwatched",
    );
}

#[test]
fn moments_are_raised_too() {
    at_the_pits(
        "levels: { blue: age > 10m }, escalate: { within: 100m }",
        "00:01 a 1 | 00:02 b 1 | 00:30 tick | 00:31 a 1",
        // c never spoke: nobody counts it, but it counts b
        "00:10 c raise blue | 00:11 a raise blue | 00:12 a change yellow | 00:12 b raise yellow | 00:12 c change yellow
         00:31 a clear yellow | 00:31 b change blue",
    );
}

#[test]
fn an_off_rule_says_nothing() {
    at_the_pits(
        &format!("mode: \"off\", {RULE}"),
        "00:01 a 12 | 00:02 b 12",
        "",
    );
}

#[test]
fn a_reading_of_a_neighbour_without_a_level_is_looked_at_too() {
    // a is stale when c speaks, who has no level
    at_the_pits(
        "levels: { blue: value >= 10 }, escalate: { within: 100m }",
        "00:01 a 12 | 00:20 b 12 | 00:32 c 1",
        "00:01 a raise blue | 00:20 a change yellow | 00:20 b raise yellow | 00:32 b change blue",
    );
}
