//! `interval`: the registry's, and that of an alarm while an alert of the sensor is open.

use crate::support::{check, check_sets, sources};

const SILENT: &str = "levels: { blue: age > 3 * interval }";

#[test]
fn silence_is_counted_in_intervals() {
    check(
        SILENT,
        "00:00 sensor a interval=10m | 00:01 a 1 | 00:01 b 1 | 02:00 tick",
        "00:31 a raise blue",
    );
    check(
        "levels: { blue: interval * 2 < age }",
        "00:00 sensor a interval=10m | 00:01 a 1 | 00:20 sensor a interval=1h | 02:00 tick | 02:30 tick",
        "02:01 a raise blue",
    );
}

fn with_alarm() -> Vec<Vec<citywatch_model::RuleSource>> {
    vec![sources(&[
        format!("{{ id: silent, measurement: m, {SILENT} }}"),
        "{ id: high, measurement: h, levels: { red: value >= 10 } }".to_owned(),
    ])]
}

#[test]
fn an_open_alert_shortens_the_interval() {
    check_sets(
        &with_alarm(),
        "00:00 sensor a interval=30m alarm=5m | 00:01 a m=1,h=1 | 00:05 a h=20 | 00:30 tick",
        None,
        "00:05 high a raise red | 00:16 silent a raise blue",
    );
}

#[test]
fn what_is_overdue_then_is_told_at_once_and_taken_back_when_the_alert_ends() {
    check_sets(
        &with_alarm(),
        "00:00 sensor a interval=30m alarm=5m | 00:01 a m=1,h=1 | 00:40 a h=20 | 00:40 tick | 00:50 a h=1 | 00:51 tick | 02:00 tick",
        None,
        "00:40 high a raise red | 00:40 silent a raise blue | 00:50 high a clear red | 00:50 silent a clear blue | 01:31 silent a raise blue",
    );
}

#[test]
fn an_alert_over_silence_shortens_nothing() {
    check_sets(
        &[sources(&[
            "{ id: silent, measurement: m, levels: { blue: age > 10m, red: age > 3 * interval } }"
                .to_owned(),
        ])],
        "00:00 sensor a interval=30m alarm=5m | 00:01 a 1 | 03:00 tick",
        None,
        "00:11 silent a raise blue | 01:31 silent a change red",
    );
}
