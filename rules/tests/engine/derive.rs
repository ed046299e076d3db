//! Derived series: at each sensor, over named sensors, over zones; seen through a rule on what they measure.

use crate::support::{check_sets, check_with, rule, sources, sources_with};

const OVER: &str = "levels: { blue: value >= 10 }";

#[test]
fn each_sensor_makes_one_value_per_event_time_that_all_its_inputs_have() {
    check_with(
        &["{ id: d, measurement: m, value: fin - out }"],
        OVER,
        "00:01 a fin=20,out=5 | 00:02 a fin=12,out=9 | 00:03 b out=1 | 00:04 b fin=30 | 00:04 b out=3 | 00:05 a out=25",
        "00:01 a raise blue | 00:02 a clear blue | 00:04 b raise blue",
    );
}

#[test]
fn measurements_of_one_sensor_may_come_one_after_the_other() {
    check_with(
        &["{ id: d, measurement: m, value: fin - out }"],
        OVER,
        "00:05 a fin=20 @00:01 | 00:05 a fin=30 @00:02 | 00:06 b fin=9 @00:01 | 00:07 a out=5 @00:01 | 00:08 a out=29 @00:02",
        "00:07 a raise blue | 00:08 a clear blue",
    );
    check_with(
        &["{ id: d, measurement: m, align: 5m, value: fin - out }"],
        OVER,
        "00:00 a fin=20 | 00:01 a out=5 | 00:04 a out=50 | 00:05 a fin=5 | 00:06 a out=5",
        "00:01 a raise blue | 00:06 a clear blue",
    );
}

#[test]
fn whichever_input_comes_first_waits_from_the_first_reading_on() {
    check_with(
        &["{ id: d, measurement: m, value: fin - out }"],
        OVER,
        "00:00 a out=5 | 00:01 a fin=20 @00:00 | 00:02 b fin=20 | 00:03 b out=5 @00:02",
        "00:01 a raise blue | 00:03 b raise blue",
    );
}

#[test]
fn inputs_that_never_meet_are_told_and_few_of_them_wait() {
    let series = &["{ id: d, measurement: m, value: fin - out }"];
    let apart = |sensor: &str, minutes: std::ops::Range<u32>| -> String {
        let both = |minute| {
            let (fin, out) = (2 * minute, 2 * minute + 1);
            format!("00:{fin:02} {sensor} fin=20 | 00:{out:02} {sensor} out=1 | ")
        };
        minutes.map(both).collect()
    };
    // of 18 event times the newest 16 wait
    let events = format!(
        "{}00:20 a out=1 @00:00 | 00:21 a fin=20 @00:01 | 00:22 a out=1 @00:02",
        apart("a", 0..9)
    );
    let counts = check_with(series, OVER, &events, "00:22 a raise blue");
    assert_eq!(counts.incomplete, 4, "two again, which came too late");
    let lacking = &counts.incomplete_newest;
    let lacking: Vec<_> = lacking
        .iter()
        .map(|entry| {
            (
                entry.series.as_str(),
                entry.sensor.as_str(),
                entry.measurement.as_str(),
                entry.times,
            )
        })
        .collect();
    assert_eq!(lacking, [("d", "a", "fin", 2), ("d", "a", "out", 2)]);
    let alone: String = (0..40)
        .map(|minute| format!("00:{minute:02} a fin=20 | "))
        .collect();
    let counts = check_with(series, OVER, alone.trim_end_matches(" | "), "");
    assert_eq!(counts.incomplete, 0, "a sensor without the other input");
    let aligned = &["{ id: d, measurement: m, align: 2m, value: fin - out }"];
    let events = apart("a", 0..20);
    let counts = check_with(
        aligned,
        OVER,
        events.trim_end_matches(" | "),
        "00:01 a raise blue",
    );
    assert_eq!(counts.incomplete, 0);
}

#[test]
fn an_input_without_a_value_for_that_time_makes_none() {
    check_with(
        &["{ id: d, measurement: m, value: fin - out }"],
        "levels: { blue: value >= 10, red: age > 1h }",
        "00:00 sensor a measures=m | 00:01 a fin=20 | 00:02 a out=5 | 00:02 a fin=20 | 00:12 a fin=6 | 00:13 a fin=6 | 01:30 tick",
        // out has no value for 00:12 and 00:13
        "00:02 a raise blue | 01:02 a change red",
    );
}

#[test]
fn the_plausible_range_of_the_sensor_is_not_that_of_what_is_derived() {
    for series in [
        "{ id: d, measurement: m, value: fin * 10 }",
        "{ id: a, measurement: m, value: \"sensor(a, fin) * 10\" }",
    ] {
        check_with(
            &[series],
            OVER,
            "00:00 sensor a max=5 | 00:01 a fin=9 | 00:02 a fin=4 | 00:03 a fin=0",
            "00:02 a raise blue | 00:03 a clear blue",
        );
    }
}

#[test]
fn windows_of_the_inputs_and_the_selector_count() {
    check_with(
        &["{ id: d, measurement: m, where: { kind: dma }, value: \"mean(fin, 10m) - out\" }"],
        OVER,
        "00:00 sensor a kind=dma | 00:00 sensor b kind=other | 00:01 a fin=10,out=5 | 00:02 a fin=20,out=5 | 00:03 b fin=99,out=1",
        "00:02 a raise blue",
    );
}

#[test]
fn late_and_repeated_inputs_make_none() {
    check_with(
        &["{ id: d, measurement: m, value: fin * 10 }"],
        OVER,
        "00:10 a fin=0 | 00:11 a fin=5 @00:05 | 00:12 a fin=5 @00:10 | 00:13 a fin=1",
        "00:13 a raise blue",
    );
}

#[test]
fn series_are_made_of_series_within_one_record() {
    check_with(
        &[
            "{ id: second, measurement: m, value: half * 10 }",
            "{ id: first, measurement: half, value: fin / 2 }",
        ],
        "levels: { blue: value >= 10 and half < 2 }",
        "00:01 a fin=2 | 00:02 a fin=6 | 00:03 a fin=3",
        "00:01 a raise blue | 00:02 a clear blue | 00:03 a raise blue",
    );
}

#[test]
fn derived_units_convert_to_those_of_rules() {
    let series = "{ id: d, measurement: m, unit: m, value: fin / 100 }";
    check_with(
        &[series],
        "unit: cm, levels: { blue: value >= 30 }",
        "00:01 a fin=29 | 00:02 a fin=30",
        "00:02 a raise blue",
    );
    let counts = check_with(
        &[series],
        "unit: kPa, levels: { blue: value >= 0 }",
        "00:01 a fin=29",
        "",
    );
    assert_eq!(
        (counts.unit_errors, counts.readings, counts.late),
        (1, 1, 0)
    );
}

#[test]
fn what_is_added_comes_in_one_unit() {
    let inputs = "00:01 p flow=10[L/s] | 00:01 q flow=36[m3/h] | 00:02 p flow=5[L/s] | 00:02 q flow=36[m3/h]";
    for (unit, value, expected) in [
        (
            "m3/h",
            "sensor(q, flow) - sensor(p, flow)",
            "00:02 net raise blue",
        ),
        (
            "",
            "sensor(q, flow) - sensor(p, flow)",
            "00:02 net raise blue",
        ),
        (
            "",
            "(sensor(q, flow) - sensor(p, flow)) / sensor(q, flow) * 20",
            "00:02 net raise blue",
        ),
        // the first one's: 10 L/s are no more than 36 m3/h
        ("", "sensor(p, flow) - sensor(q, flow)", ""),
        // a factor is the author's own conversion
        (
            "m3/h",
            "sensor(p, flow) * 3.6 - sensor(q, flow) + 30",
            "00:01 net raise blue",
        ),
    ] {
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!("unit: {unit}, ")
        };
        let series = format!("{{ id: net, measurement: m, {unit}value: \"{value}\" }}");
        check_with(&[&series], OVER, inputs, expected);
    }
    let series = "{ id: d, measurement: m, unit: cm, value: \"max(fin, 1h) + out\" }";
    check_with(
        &[series],
        OVER,
        "00:01 a fin=0.1[m],out=1[mm]",
        "00:01 a raise blue",
    );
    let series = "{ id: d, measurement: m, unit: cm, value: fin + out }";
    let counts = check_with(&[series], OVER, "00:01 a fin=5[m],out=1[kg]", "");
    assert_eq!(counts.unit_errors, 1);
}

#[test]
fn a_sum_under_a_factor_that_has_the_series_measurement_comes_in_its_unit() {
    let mean = "{ id: d, measurement: m, unit: m, value: \"(sensor(p, m) + sensor(q, m)) / 2\" }";
    let over = "where: { sensor: d }, levels: { blue: value >= 10 }";
    for (inputs, expected) in [
        // 1.4 m, not 140
        ("00:01 p m=150[cm] | 00:01 q m=130[cm]", ""),
        ("00:01 p m=1200[cm] | 00:01 q m=14[m]", "00:01 d raise blue"),
        ("00:01 p m=14[m] | 00:01 q m=1200[cm]", "00:01 d raise blue"),
    ] {
        check_with(&[mean], over, inputs, expected);
    }
    let counts = check_with(&[mean], over, "00:01 p m=1[kg] | 00:01 q m=1[kg]", "");
    assert_eq!(counts.unit_errors, 1);
    let mixed =
        "{ id: d, measurement: m, unit: m, value: \"(sensor(p, fin) - sensor(q, m)) * 1\" }";
    check_with(
        &[mixed],
        over,
        "00:01 p fin=1000[cm] | 00:01 q m=100[cm] | 00:02 p fin=1000[cm] | 00:02 q m=-100[cm]",
        "00:02 d raise blue",
    );
}

#[test]
fn a_forecast_comes_in_the_unit_of_the_series() {
    check_with(
        &["{ id: d, measurement: m, unit: m, value: \"forecast(fin, 1h, 2h)\" }"],
        OVER,
        "00:00 a fin=100[cm] | 00:30 a fin=200[cm] | 01:00 a fin=300[cm] | 01:30 a fin=1000[cm]",
        // 10 m and its slope
        "01:30 a raise blue",
    );
}

const NET: &str =
    "{ id: net, measurement: m, value: \"sensor(p, flow) + sensor(q, flow) - sensor(s, out)\" }";

#[test]
fn named_sensors_make_a_value_once_all_have_spoken_for_a_time() {
    check_with(
        &[NET],
        OVER,
        "00:05 p flow=8 @00:01 | 00:05 q flow=7 @00:02 | 00:06 q flow=6 @00:01 | 00:07 s out=4 @00:01
         00:08 p flow=1 @00:02 | 00:09 s out=0 @00:02 | 00:10 p flow=9 @00:01",
        "00:07 net raise blue | 00:09 net clear blue",
    );
}

#[test]
fn a_newer_time_drops_the_older_ones() {
    check_with(
        &[NET],
        OVER,
        "00:01 p flow=99 | 00:02 p flow=1 | 00:02 q flow=1 | 00:02 s out=1 | 00:03 q flow=1 @00:01 | 00:04 s out=0 @00:01",
        "",
    );
}

#[test]
fn buckets_take_the_newest_reading_of_each_input() {
    check_with(
        &["{ id: net, measurement: m, align: 5m, value: \"sensor(p, flow) - sensor(q, flow)\" }"],
        OVER,
        "00:01 p flow=99 | 00:04 p flow=5 | 00:04 p flow=50 @00:04 | 00:05 p flow=20 | 00:06 q flow=1 @00:03 | 00:08 q flow=10",
        // 5 - 1, then 20 - 10
        "00:08 net raise blue",
    );
}

#[test]
fn a_registered_series_has_tags_and_a_zone() {
    check_with(
        &[NET],
        "where: { zone: street }, levels: { blue: value >= 10 }",
        "00:00 zones cell>street | 00:01 p flow=20 | 00:01 q flow=1 | 00:01 s out=1 | 00:02 sensor net zone=cell
         00:03 p flow=20 | 00:03 q flow=1 | 00:03 s out=1",
        "00:03 net raise blue",
    );
}

#[test]
fn a_derived_series_is_a_named_sensor_like_any_other() {
    check_sets(
        &[sources_with(
            &[NET],
            &[
                "{ id: r, measurement: x, levels: { blue: \"value > sensor(net, m)\" } }"
                    .to_owned(),
            ],
        )],
        "00:01 a x=5 | 00:02 p flow=1 | 00:02 q flow=1 | 00:02 s out=1 | 00:03 p flow=9 | 00:03 q flow=1 | 00:03 s out=1",
        None,
        "00:02 a raise blue | 00:03 a clear blue",
    );
}

const INFLOW: &str = "{ id: zonal, measurement: m, where: { role: inlet }, zones: sum(flow) }";
const INLETS: &str = "00:00 zones cell>street | 00:00 sensor a role=inlet zone=cell stale=30m
    00:00 sensor b role=inlet zone=cell stale=30m | 00:00 sensor c role=inlet zone=street stale=30m
    00:00 sensor d zone=cell
    ";

#[test]
fn zones_are_summed_once_everybody_has_spoken() {
    let events = "00:01 a flow=4 | 00:01 b flow=4 | 00:01 c flow=1 | 00:02 a flow=4 | 00:02 b flow=7 | 00:02 d flow=100
         00:03 c flow=1 @00:02 | 00:04 b flow=1 | 00:04 a flow=1 | 00:04 c flow=1";
    // at 00:01 nobody waits for those who have never spoken
    check_with(
        &[INFLOW],
        OVER,
        &format!("{INLETS}{events}"),
        "00:02 cell raise blue | 00:03 street raise blue | 00:04 cell clear blue | 00:04 street clear blue",
    );
}

#[test]
fn a_member_that_falls_silent_is_not_waited_for() {
    check_with(
        &[INFLOW],
        OVER,
        &format!(
            "{INLETS}00:01 a flow=4 | 00:01 b flow=4 | 00:20 a flow=11 | 00:31 a flow=11 | 00:32 a flow=12"
        ),
        // b counts up to 00:31
        "00:32 cell raise blue | 00:32 street raise blue",
    );
}

#[test]
fn a_zone_series_stands_in_its_own_zone() {
    let selected = format!("where: {{ zone: street }}, {OVER}");
    check_with(
        &[INFLOW],
        &selected,
        &format!("{INLETS}00:01 a flow=14"),
        "00:01 cell raise blue | 00:01 street raise blue",
    );
    let tagged = format!("where: {{ kind: dma }}, {OVER}");
    check_with(
        &[INFLOW],
        &tagged,
        &format!("{INLETS}00:00 sensor street kind=dma | 00:01 a flow=14"),
        "00:01 street raise blue",
    );
}

#[test]
fn zones_convert_and_take_buckets() {
    check_with(
        &[
            "{ id: zonal, measurement: m, unit: m3/h, where: { role: inlet }, zones: max(flow), align: 5m }",
        ],
        OVER,
        &format!(
            "{INLETS}00:01 a flow=1[m3/h] | 00:02 b flow=1[m3/h] | 00:06 a flow=3[L/s] | 00:09 b flow=1[m3/h]"
        ),
        "00:09 cell raise blue | 00:09 street raise blue",
    );
}

#[test]
fn who_comes_into_a_zone_within_a_bucket_counts_with_its_newest_reading() {
    let series = "{ id: zonal, measurement: m, zones: sum(flow), align: 10m }";
    let members = "00:00 zones cell>street | 00:00 sensor a zone=cell | 00:00 sensor b zone=cell
        00:00 sensor c zone=yard";
    check_with(
        &[series],
        OVER,
        &format!(
            "{members} | 00:01 a flow=6 | 00:02 zones cell>street street>district | 00:03 b flow=6"
        ),
        "00:03 district raise blue",
    );
    check_with(
        &[series],
        OVER,
        &format!("{members} | 00:01 a flow=6 | 00:02 sensor a zone=yard | 00:03 c flow=6"),
        "00:03 yard raise blue",
    );
    check_with(
        &[series],
        OVER,
        &format!(
            "{members} | 00:01 c flow=0 | 00:15 a flow=20 | 00:16 sensor a zone=yard | 00:17 a flow=1 @00:13 | 00:18 c flow=-5"
        ),
        "00:15 cell raise blue | 00:15 street raise blue | 00:18 yard raise blue",
    );
    // what stands in an earlier bucket is waited for
    check_with(
        &[series],
        OVER,
        &format!(
            "{members} | 00:01 a flow=6 | 00:02 sensor a zone=yard | 00:13 c flow=16 | 00:14 a flow=1"
        ),
        "00:14 yard raise blue",
    );
}

#[test]
fn escalation_and_groups_stand_on_derived_series() {
    check_with(
        &["{ id: d, measurement: m, value: fin * 2 }"],
        "levels: { blue: value >= 10 }, escalate: { within: 100m }",
        "00:00 sensor a at=31,121 | 00:00 sensor b at=31.0005,121 | 00:01 a fin=6 | 00:02 b fin=6 | 00:03 a fin=1",
        "00:01 a raise blue | 00:02 a change yellow | 00:02 b raise yellow | 00:03 a clear yellow | 00:03 b change blue",
    );
    check_with(
        &["{ id: d, measurement: m, value: fin * 2 }"],
        "levels: { blue: \"near(m, 100m, max(value)) >= 10\" }",
        "00:00 sensor a at=31,121 | 00:00 sensor b at=31.0005,121 | 00:01 a fin=1 | 00:02 b fin=6",
        "00:02 a raise blue",
    );
}

#[test]
fn a_rule_keeps_its_state_when_other_series_change() {
    let set = |derive: &[&str]| {
        sources_with(
            derive,
            &[rule("levels: { blue: value >= 10 in 2 samples }")],
        )
    };
    check_sets(
        &[
            set(&["{ id: d, measurement: m, value: fin * 2 }"]),
            set(&[
                "{ id: d, measurement: m, value: fin * 3 }",
                "{ id: e, measurement: x, value: fin }",
            ]),
            sources(&[]),
        ],
        "00:01 a fin=5 | 00:02 rules 1 | 00:03 a fin=5 | 00:04 rules 2",
        None,
        "00:03 a raise blue | 00:04 a clear blue unwatched",
    );
}

#[test]
fn what_is_forgotten_has_spoken_all_the_same() {
    let series = "{ id: x, measurement: d, value: \"sensor(a, m) * 2\" }";
    let set = sources_with(
        &[series],
        &[rule(
            "levels: { orange: \"near(m, 100m, max(value)) > 5\", red: age > 5m }",
        )],
    );
    check_sets(
        &[set, sources_with(&[series], &[])],
        "00:00 a 0 | 00:00 rules 1 | 00:00 rules 0",
        Some("00:05"),
        "00:05 a raise red",
    );
}

#[test]
fn a_reading_that_comes_again_is_no_contribution() {
    check_with(
        &[INFLOW],
        OVER,
        "00:01 a flow=14 | 00:02 sensor a role=inlet zone=cell | 00:03 a flow=14 @00:01 | 00:04 a flow=15 @00:01 | 00:05 a flow=14",
        "00:05 cell raise blue",
    );
}
