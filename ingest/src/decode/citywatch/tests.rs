#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use citywatch_model::{Registry, Sensor, Time, name};
use proptest::prelude::*;

use super::*;
use crate::decode::{DEFAULT_MAX_PAYLOAD, Format};

/// One line for each observation and rejection, as people would note it down.
fn shown_decoded(payload: &[u8], sensor: Option<&str>, measurement: Option<&str>) -> String {
    let mut registry = Registry::default();
    let only = Sensor {
        measurements: vec![name("level")],
        ..Sensor::unknown(name("one"))
    };
    registry.sensors.insert(only.id, only);
    let context = Context {
        sensor,
        measurement,
        arrival: Time::MIN,
        registry: &registry,
        max_payload: 4_096,
    };
    let decoded = super::super::decode(Format::Citywatch, payload, &context);
    let mut text = String::new();
    for observation in &decoded.observations {
        let index = observation
            .index
            .map(|index| format!("{index} "))
            .unwrap_or_default();
        let time = observation
            .time
            .map_or("no time".to_owned(), |time| time.to_string());
        write!(text, "  {index}{} at {time}:", observation.sensor).unwrap();
        for value in &observation.values {
            write!(text, " {}={}{}", value.measurement, value.value, value.unit).unwrap();
        }
        text.push('\n');
    }
    for rejection in &decoded.rejected {
        writeln!(text, "  - {rejection}").unwrap();
    }
    text
}

fn check(payloads: &[&str]) -> String {
    payloads
        .iter()
        .map(|payload| {
            format!(
                "{payload}\n{}",
                shown_decoded(payload.as_bytes(), None, None)
            )
        })
        .collect()
}

#[test]
fn the_forms_of_a_reading() {
    insta::assert_snapshot!(check(&[
        r#"{"sensor":"g-00042","ts":1790000000000,"measurement":"methane","value":1.2,"unit":"%LEL"}"#,
        r#"{"sensor":"a","ts":1790000000,"values":{"methane":1.2,"temperature":20.5}}"#,
        r#"{"sensor":"a","ts":1790000000.25,"values":{"p":1,"t":2},"unit":"kPa","units":{"t":"Cel"}}"#,
        r#"[{"sensor":"a","value":1},{"sensor":"b","value":2}]"#,
        r#"{"sensor":"a","ts":"2026-11-22T08:00:00+08:00","value":-3e-2}"#,
        r#"{"sensor":"one","value":1}"#,
        r#"{"sensor":"井盖\u0037","value":1,"unit":"厘米"}"#,
        "\u{feff} \r\n{\"sensor\":\"a\",\"value\":1}\r\n",
        r#"{"sensor":"a","value":1,"battery_status":{"deep":[1e309,{}]},"tags":null}"#,
        r#"{"sensor":"a","value":1,"measurement":"m","values":{"n":2}}"#,
        r#"{"sensor":"a","ts":0,"value":1}"#,
        r#"{"sensor":"a","ts":1790000000000000,"value":1}"#,
        r#"{"sensor":"a","ts":null,"unit":null,"value":18446744073709551615}"#,
    ]));
}

#[test]
fn what_cannot_be_taken() {
    insta::assert_snapshot!(check(&[
        "",
        "[]",
        "{}",
        "17",
        "null",
        r#""text""#,
        "[1,[],null]",
        "{\"sensor\":\"a\",\n\"value\":1,}",
        r#"{"sensor":"a","value":1} {"sensor":"b","value":2}"#,
        r#"{"sensor":"a","value":NaN}"#,
        r#"{"sensor":"a","value":-Infinity}"#,
        r#"{"sensor":"a","value":1e309}"#,
        r#"{"sensor":"a","value":"12.5"}"#,
        r#"{"sensor":"a","value":"NaN"}"#,
        r#"{"sensor":"a","value":"1,5"}"#,
        r#"{"sensor":"a","value":""}"#,
        r#"{"sensor":"a","value":null}"#,
        r#"{"sensor":"a","value":true}"#,
        r#"{"sensor":"a","value":{"x":1}}"#,
        r#"{"sensor":"a","value":[1]}"#,
        r#"{"sensor":"a"}"#,
        r#"{"sensor":"a","values":{}}"#,
        r#"{"sensor":"a","values":[1,2]}"#,
        r#"{"sensor":"a","values":{"":1}}"#,
        r#"{"value":1}"#,
        r#"{"sensor":"","value":1}"#,
        r#"{"sensor":42,"value":1}"#,
        r#"{"sensor":"a","measurement":7,"value":1}"#,
        r#"{"sensor":"a","unit":5,"value":1}"#,
        r#"{"sensor":"a","ts":true,"value":1}"#,
        r#"{"sensor":"a","ts":"yesterday","value":1}"#,
        r#"{"sensor":"a","ts":"2026-11-22T08:00:00","value":1}"#,
        r#"{"sensor":"a","ts":1e999,"value":1}"#,
        r#"{"sensor":"a","sensor":"b","value":1}"#,
    ]));
}

#[test]
fn the_rest_is_kept() {
    insta::assert_snapshot!(check(&[
        r#"[{"sensor":"a","value":1},{"sensor":"b","value":"2"},3,{"sensor":"c","value":3}]"#,
        r#"[{"sensor":"a","value":1},{"sensor":"b","value":1e309},{"sensor":"c","values":{"x":1e999,"y":2}}]"#,
        r#"{"sensor":"a","values":{"x":1,"y":null,"z":"3","x":4,"w":5},"units":{"w":9}}"#,
    ]));
}

#[test]
fn the_topic_names_what_the_payload_does_not() {
    let decoded = [
        shown_decoded(br#"{"value":1}"#, Some("t"), Some("m")),
        shown_decoded(
            br#"{"sensor":"p","measurement":"q","value":1}"#,
            Some("t"),
            Some("m"),
        ),
        shown_decoded(br#"{"values":{"x":1}}"#, Some("t"), Some("m")),
        shown_decoded(br#"{"value":1}"#, Some("one"), None),
    ];
    insta::assert_snapshot!(decoded.join(""));
}

#[test]
fn bytes_that_are_no_text() {
    let long = format!(
        r#"{{"sensor":"a","value":1,"note":"{}"}}"#,
        "x".repeat(4_096)
    );
    let gbk = b"{\"sensor\":\"\xbe\xae\xb8\xc7\",\"value\":1}";
    let nested = "[".repeat(4_000);
    let decoded = [long.as_bytes(), gbk, nested.as_bytes(), b"\0"]
        .map(|payload| shown_decoded(payload, None, None));
    insta::assert_snapshot!(decoded.join(""));
}

fn decode_any(payload: &[u8]) -> Decoded<'_> {
    let registry: &'static Registry = Box::leak(Box::default());
    let context = Context {
        sensor: None,
        measurement: None,
        arrival: Time::MIN,
        registry,
        max_payload: DEFAULT_MAX_PAYLOAD,
    };
    super::super::decode(Format::Citywatch, payload, &context)
}

/// Whatever came, what is handed on keeps the promises of `DecodedObservation`, and nothing vanishes.
fn keeps_its_promises(decoded: &Decoded<'_>) {
    assert!(!decoded.observations.is_empty() || !decoded.rejected.is_empty());
    for observation in &decoded.observations {
        assert!(!observation.sensor.is_empty() && !observation.values.is_empty());
        for (index, value) in observation.values.iter().enumerate() {
            assert!(value.value.is_finite() && !value.measurement.is_empty());
            assert!(
                observation.values[..index]
                    .iter()
                    .all(|earlier| earlier.measurement != value.measurement)
            );
        }
    }
}

/// JSON whose keys are mostly those that mean something.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        any::<i64>().prop_map(|value| value.to_string()),
        "[0-9]{1,4}e[0-9]{1,4}",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let key = prop_oneof![
        4 => prop::sample::select(vec!["sensor", "ts", "measurement", "value", "unit", "values", "units"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let member = (key.clone(), inner.clone());
        let member = member
            .prop_map(|(key, value)| format!("{}:{value}", serde_json::to_string(&key).unwrap()));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..8)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        keeps_its_promises(&decode_any(&payload));
    }

    #[test]
    fn no_json_makes_it_panic(payload in json()) {
        keeps_its_promises(&decode_any(payload.as_bytes()));
    }

    #[test]
    fn cut_json_is_refused_in_one_piece(cut in 1_usize..80) {
        let payload = r#"[{"sensor":"a","ts":1790000000000,"measurement":"methane","value":1.2},{"sensor":"b","value":2}]"#;
        let decoded = decode_any(&payload.as_bytes()[..cut]);
        prop_assert!(decoded.observations.is_empty());
        prop_assert_eq!(decoded.rejected[0].reason, Reason::MalformedJson);
    }
}

#[test]
fn a_time_under_another_name_is_not_taken_for_now() {
    let old = |key: &str, time: &str| format!(r#"{{"sensor":"s","value":1,"{key}":{time}}}"#);
    for (key, time) in [
        ("time", "\"2020-01-01T00:00:00Z\""),
        ("timestamp", "1577836800"),
        ("datetime", "\"2020-01-01 00:00\""),
        ("t", "1577836800000.5"),
        ("TS", "1577836800"),
        ("采集时间", "\"2020-01-01 00:00\""),
    ] {
        let told = shown_decoded(old(key, time).as_bytes(), None, None);
        assert!(
            told.contains("bad_time") || told.contains("name the event time `ts`"),
            "{told}"
        );
        assert!(!told.contains("no time"), "{told}");
        let both = format!(r#"{{"ts":1577836800,{}"#, &old(key, time)[1..]);
        let taken = shown_decoded(both.as_bytes(), None, None);
        assert!(
            taken.contains("s at 2020-01-01T00:00:00Z: value=1"),
            "{taken}"
        );
    }
    // a temperature, nothing at all, and the kind of a message
    for time in ["21.5", "null", "\"\"", "\"level\""] {
        let taken = shown_decoded(old("t", time).as_bytes(), None, None);
        assert_eq!(taken, "  s at no time: value=1\n");
    }
}

#[test]
fn a_unit_under_another_name_does_not_leave_the_number_without_one() {
    for unit in [
        "\"Unit\":\"m\"",
        "\"uom\":\"m\"",
        "\"单位\":\"m\"",
        "\"Units\":{\"value\":\"m\"}",
    ] {
        let payload = |more: &str| format!(r#"{{"sensor":"s","value":0.6,{unit}{more}}}"#);
        let told = shown_decoded(payload("").as_bytes(), None, None);
        assert!(
            told.contains("bad_unit") && told.contains("name the unit `unit`"),
            "{told}"
        );
        let taken = shown_decoded(payload(r#","unit":"cm""#).as_bytes(), None, None);
        assert!(taken.contains("value=0.6cm"), "{taken}");
    }
    let payload = br#"{"sensor":"s","value":0.6,"UNIT":""}"#;
    assert_eq!(
        shown_decoded(payload, None, None),
        "  s at no time: value=0.6\n"
    );
}
