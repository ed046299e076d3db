//! Derived series and what makes a rule one of the second stage: what reading gives, and that printing gives it back.
#![allow(clippy::unwrap_used)]

use citywatch_model::{Mode, RuleSource, name};
use citywatch_rules::ast::{Derive, Escalate, FireWeather, Method, RuleSet};
use citywatch_rules::{Problems, compile};
use proptest::prelude::*;

fn read(text: &str) -> Result<RuleSet, Problems> {
    compile(&[RuleSource {
        file: "r.yaml".to_owned(),
        text: text.to_owned(),
    }])
}

fn rule(keys: &str) -> String {
    format!("rules:\n- {{ id: r, measurement: m, {keys} }}\n")
}

/// One series, written with `key: made`.
fn series(key: &str, made: &str) -> Derive {
    let quoted = if key == "fwi" {
        made.to_owned()
    } else {
        format!("'{}'", made.replace('\'', "''"))
    };
    let text = format!("derive:\n- id: s\n  measurement: made\n  {key}: {quoted}\n");
    let rules = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    (*rules.derived[0]).clone()
}

#[test]
fn the_examples_of_the_handbook_are_read() {
    let text = "
derive:
  - id: water.net-inflow
    measurement: net_inflow
    unit: m3/h
    value: sensor(P227, flow) + sensor(P235, flow) - sensor(PUMP1, flow)
    align: 5m
  - id: water.balance
    measurement: balance
    unit: m3/h
    where: { kind: dma }
    value: inflow - outflow
  - id: water.zone-inflow
    measurement: inflow
    unit: m3/h
    where: { role: inlet }
    zones: sum(flow)
    align: 5m
  - id: water.night-flow
    measurement: night_flow
    unit: m3/h
    where: { kind: dma_inlet }
    daily: mean(flow) from 02:00 to 04:00
  - id: fire.weather-index
    measurement: fwi
    where: { kind: weather_station }
    fwi: { temperature: temperature, humidity: relative_humidity, wind: wind_speed, rain: precipitation }
";
    insta::assert_debug_snapshot!(read(text).unwrap().derived);
}

#[test]
fn ways_of_making_are_printed_as_they_are_read() {
    for (key, written, printed) in [
        ("value", "inflow - outflow", "inflow - outflow"),
        (
            "value",
            "mean(flow, 1h) / baseline(flow, 7d) + forecast(flow, 1h, 2h)",
            "mean(flow, 1h) / baseline(flow, 7d) + (flow + slope(flow, 2h) * 1)",
        ),
        (
            "value",
            "(sensor(a, x) + sensor(\"b c\", valve)) / 2",
            "(sensor(a, x) + sensor(\"b c\", valve)) / 2",
        ),
        // a slip of `value` cannot be meant where `value` means nothing
        ("value", "valu * 2", "\"valu\" * 2"),
        ("zones", "sum( flow )", "sum(flow)"),
        ("zones", "max(\"PM2.5\")", "max(\"PM2.5\")"),
        (
            "daily",
            "mean(\"a from b\")  from 00:30  to 24:00",
            "mean(\"a from b\") from 00:30 to 24:00",
        ),
        (
            "fwi",
            "{ wind: w, rain: r, humidity: 'it''s', temperature: t, start: [80.5, 0, 9e2] }",
            "{ temperature: 't', humidity: 'it''s', wind: 'w', rain: 'r', start: [80.5, 0, 900] }",
        ),
    ] {
        let derive = series(key, written);
        assert_eq!(derive.method.to_string(), printed, "{written}");
        assert_eq!(series(key, printed), derive, "{written}");
    }
}

#[test]
fn the_weather_starts_as_the_standard_says() {
    let derive = series("fwi", "{ temperature: t, humidity: h, wind: w, rain: r }");
    let [temperature, humidity, wind, rain] = ["t", "h", "w", "r"].map(name);
    let start = [85.0, 6.0, 15.0];
    let weather = FireWeather {
        temperature,
        humidity,
        wind,
        rain,
        start,
    };
    assert_eq!(derive.method, Method::FireWeather(weather));
}

#[test]
fn series_stand_behind_those_that_they_are_made_of() {
    let file = |file: &str, text: &str| RuleSource {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let one = file(
        "one.yaml",
        "derive:\n- { id: a.last, measurement: last, value: fwi + bui }\n- { id: b, measurement: b, value: x }\n- { id: c, measurement: c, zones: sum(b) }\n",
    );
    // `n` makes `own` of the `own` of another sensor, which is no ring
    let two = file(
        "two.yaml",
        "derive:\n- { id: n, measurement: own, value: 'sensor(p, own) + sensor(p, c)' }\n\
         - { id: weather, measurement: fwi, fwi: { temperature: t, humidity: h, wind: w, rain: own } }\n",
    );
    let rules = compile(&[one, two]).unwrap_or_else(|problems| panic!("{problems}"));
    let order: Vec<_> = rules
        .derived
        .iter()
        .map(|derive| derive.id.as_str())
        .collect();
    assert_eq!(order, ["b", "c", "n", "weather", "a.last"]);
}

#[test]
fn groups_and_derived_measurements_make_a_rule_one_of_the_second_stage() {
    let derive = "derive:\n- { id: s, measurement: made, value: x + y }\n\
                  - { id: f, measurement: fwi, fwi: { temperature: t, humidity: h, wind: w, rain: r } }\n";
    for (keys, expected) in [
        ("levels: { red: value > 1 }", false),
        (
            "levels: { red: value > 1 }, escalate: { within: 100m }",
            false,
        ),
        ("levels: { red: 'sensor(a, b) > 1' }", false),
        ("levels: { red: x > 1 }, clear: y < 1", false),
        ("levels: { red: made > 1 }", true),
        (
            "levels: { red: value > 1 }, clear: 'max(made, 1h) < 1'",
            true,
        ),
        ("levels: { red: 'value > baseline(dmc, 7d)' }", true),
        ("levels: { red: 'sensor(a, made) > 1' }", true),
        ("levels: { red: 'near(other, 100m, max(value)) > 1' }", true),
        (
            "levels: { red: value > 1 }, clear: 'zone(m, max(value)) < 1'",
            true,
        ),
        ("levels: { red: 'count_near(m, 1km, value > 1) > 1' }", true),
    ] {
        let rules = read(&format!("{}{derive}", rule(keys)))
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(rules.rules[0].second_stage, expected, "{keys}");
    }
    let text =
        "rules:\n- { id: r, measurement: bui, levels: { red: age > 2d } }\n".to_owned() + derive;
    assert!(read(&text).unwrap().rules[0].second_stage);
}

#[test]
fn rules_carry_their_escalation_and_mode() {
    for (keys, escalate, mode) in [
        ("", None, Mode::Live),
        (
            "escalate: { within: 2km }, mode: shadow",
            Some((2_000.0, 2)),
            Mode::Shadow,
        ),
        (
            "mode: off, escalate: { sensors: 3, within: 100m }",
            Some((100.0, 3)),
            Mode::Off,
        ),
        ("mode: live", None, Mode::Live),
    ] {
        let rules = read(&rule(&format!("levels: {{ red: value > 1 }}, {keys}"))).unwrap();
        let expected = escalate.map(|(within_m, sensors)| Escalate { within_m, sensors });
        assert_eq!(
            (rules.rules[0].escalate, rules.rules[0].info.mode),
            (expected, mode),
            "{keys}"
        );
    }
}

proptest! {
    #[test]
    fn no_way_of_making_makes_it_stumble(words in proptest::collection::vec(proptest::sample::select(vec![
        "mean(", "flow", ")", "from", "to", "02:00", "24:00", "4:00", "sum(flow)", "sensor(P1, flow)", "+", "(", "1", "value",
        "age", "\"a from b\"", "rise(flow, 1h)", "from 02:00 to 04:00", "水", "for 5m",
    ]), 0..12)) {
        let made = words.join(" ").replace('\'', "''");
        for key in ["value", "zones", "daily"] {
            match read(&format!("derive:\n- id: s\n  measurement: made\n  {key}: '{made}'\n")) {
                Ok(rules) => {
                    let printed = rules.derived[0].method.to_string();
                    prop_assert_eq!(&series(key, &printed), &*rules.derived[0], "{}", printed);
                }
                Err(problems) => {
                    prop_assert!(problems.list.iter().all(|problem| problem.line == 4), "{}", problems);
                }
            }
        }
    }
}
