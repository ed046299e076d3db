//! Packs in, observations and rejections out; the first cases are the examples of RFC 8428, section 5.1.

use citywatch_model::{Registry, Sensor, Time, name};
use proptest::prelude::*;

use super::*;

const ARRIVAL: Time = Time::from_millis(1_790_000_000_000);

fn registry(ids: &[&str]) -> Registry {
    let mut registry = Registry::default();
    for id in ids {
        registry.sensors.insert(name(id), Sensor::unknown(name(id)));
    }
    registry
}

fn read(payload: &str, topic: (Option<&str>, Option<&str>), registry: &Registry) -> String {
    let context = Context {
        sensor: topic.0,
        measurement: topic.1,
        arrival: ARRIVAL,
        registry,
        max_payload: 10_000,
    };
    let decoded = decode(payload.as_bytes(), &context);
    let observations = decoded.observations.iter().map(|observation| {
        let values = observation.values.iter();
        let values: Vec<String> = values
            .map(|value| format!("{}={}{}", value.measurement, value.value, value.unit))
            .collect();
        let time = match observation.time {
            None => "now".to_owned(),
            Some(time) => time.to_string(),
        };
        format!("{} {time} {}", observation.sensor, values.join(" "))
    });
    let rejected = decoded.rejected.iter().map(ToString::to_string);
    observations.chain(rejected).collect::<Vec<_>>().join("\n")
}

fn plain(payload: &str) -> String {
    read(payload, (None, None), &Registry::default())
}

const EXAMPLES: [&str; 9] = [
    r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#,
    r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]"#,
    r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
        {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","v":1.7}]"#,
    r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},{"u":"lon","v":24.30621},
        {"u":"lat","v":60.07965},{"t":60,"v":20.3},{"u":"%EL","t":150,"v":98}]"#,
    r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},
        {"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]"#,
    r#"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},{"n":"humidity","u":"%RH","v":30},
        {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},{"n":"humidity","u":"%RH","v":67}]"#,
    r#"[{"bn":"urn:dev:ow:10e2073a01080063:"},{"n":"temp","u":"Cel","v":23.1},{"n":"heat","u":"/","v":1},{"n":"fan","u":"/","v":0}]"#,
    r#"[{"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":1},{"n":"2001:db8::4","v":1}]"#,
    r#"[{"n":"2001:db8::3","t":0.02,"v":1}]"#,
];

#[test]
fn the_examples_of_the_rfc() {
    insta::assert_snapshot!(EXAMPLES.map(plain).join("\n\n"));
}

#[test]
fn a_damaged_pack_never_panics() {
    let registry = registry(&["urn:dev:ow:10e2073a01080063"]);
    let context = Context {
        sensor: None,
        measurement: None,
        arrival: ARRIVAL,
        registry: &registry,
        max_payload: 10_000,
    };
    for example in EXAMPLES {
        for place in 0..example.len() {
            for byte in [0, b'"', b'[', b'}', b',', b'-', b'9', b'e', b'_', 0xFF] {
                let mut damaged = example.as_bytes().to_vec();
                damaged[place] = byte;
                drop(decode(&damaged, &context));
                damaged.truncate(place);
                let cut = decode(&damaged, &context);
                assert!(
                    cut.observations.is_empty() && cut.rejected.len() == 1,
                    "{example} cut at {place}"
                );
            }
        }
    }
}

#[test]
fn base_fields_hold_until_they_change() {
    let packs = [
        // a record that only sets the base
        r#"[{"bn":"a:","bt":1790000000},{"n":"x","v":1},{"bt":1790000010,"bv":100,"n":"x","v":2},{"n":"y"}]"#,
        // sums, with and without a value
        r#"[{"bn":"meter:","n":"power","u":"W","v":120,"s":3600},{"n":"energy","s":5},{"bs":10,"n":"water","u":"m3/s","v":1}]"#,
        // a broken base spoils what follows, and that is said
        r#"[{"bn":"a:","n":"x","v":1},{"bt":"noon","n":"x","v":2},{"n":"x","v":3}]"#,
        r#"[{"bn":"a:","bn":"b:","n":"x","v":1},{"n":"x","v":2}]"#,
        r#"[{"bn":"a:","bv":1e308,"n":"x","v":1e308},{"n":"y","v":1e999},{"n":"z","v":1}]"#,
    ];
    insta::assert_snapshot!(packs.map(plain).join("\n\n"));
}

#[test]
fn times_are_relative_below_two_to_the_28() {
    let packs = [
        r#"[{"n":"a","t":-60,"v":1}]"#,
        r#"[{"n":"a","t":0,"v":1}]"#,
        r#"[{"n":"a","bt":-10,"t":4.5,"v":1}]"#,
        r#"[{"n":"a","t":268435455,"v":1}]"#,
        r#"[{"n":"a","t":268435456,"v":1}]"#,
        r#"[{"n":"a","t":1790000000000,"v":1}]"#,
        r#"[{"n":"a","t":"1790000000","v":1}]"#,
        r#"[{"n":"a","t":1790000000,"ut":60,"v":1}]"#,
        r#"[{"n":"a","t":1790000000,"ut":"often","v":1}]"#,
    ];
    insta::assert_snapshot!(packs.map(plain).join("\n"));
}

#[test]
fn names_tell_sensor_and_measurement() {
    let registry = registry(&["pit-7", "urn:dev:1", "urn:dev:1:2"]);
    let cases = [
        (r#"[{"n":"level","v":1}]"#, (Some("pit-7"), Some("depth"))),
        (r#"[{"v":1}]"#, (Some("pit-7"), Some("depth"))),
        (r#"[{"v":1}]"#, (None, None)),
        (
            r#"[{"bn":"pit-8/","n":"level","v":1}]"#,
            (Some("pit-7"), None),
        ),
        (r#"[{"bn":"pit-8/","v":1}]"#, (None, Some("depth"))),
        // resolved names, as the registry knows them
        (r#"[{"n":"urn:dev:1:level","v":1}]"#, (None, None)),
        (r#"[{"n":"urn:dev:1:2:level","v":1}]"#, (None, None)),
        (r#"[{"n":"urn:dev:1","v":1}]"#, (None, None)),
        (r#"[{"n":"urn:dev:3:level","v":1}]"#, (None, None)),
        // a base that many sensors have in common
        (
            r#"[{"bn":"urn:dev:","n":"1","v":1},{"n":"9","v":2}]"#,
            (None, None),
        ),
        (r#"[{"bn":"pit-8:","n":"::","v":1}]"#, (None, None)),
        (
            r#"[{"n":"-a","v":1},{"n":"井盖","v":1},{"n":"a b","v":1},{"n":"A.b-c:d/e_f","v":1}]"#,
            (None, None),
        ),
    ];
    let read = cases.map(|(payload, topic)| read(payload, topic, &registry));
    insta::assert_snapshot!(read.join("\n"));
}

#[test]
fn what_is_no_pack_is_rejected_whole_and_what_is_no_value_alone() {
    let payloads = [
        "",
        "[]",
        "{}",
        "23.1",
        r#"{"n":"a","v":1}"#,
        r#"[{"n":"a","v":NaN}]"#,
        r#"[{"n":"a","v":1},{"n":"b","v":1,"must_":2}]"#,
        r#"[{"n":"a","v":1},{"bver":11,"n":"b","v":1}]"#,
        r#"[{"bver":"10","n":"b","v":1}]"#,
        r#"[{"n":"a","v":1,"l":"link","x":{"y":[1]}}]"#,
        r#"[{"n":"a"},{"n":"a","v":"1.5"},{"n":"a","v":null},{"n":"a","v":1,"vb":true},{"n":"a","vb":1},{"n":"a","v":1,"v":2}]"#,
        r#"[7,{"n":"a","v":1},null]"#,
        r#"[{"n":"a","t":1790000000,"u":"m","v":1},{"n":"a","t":1790000000,"u":"m","v":2}]"#,
        r#"[{"n":"a","u":"%","v":0.42}]"#,
        r#"[{"n":5,"v":1},{"n":"a","u":null,"v":1}]"#,
    ];
    insta::assert_snapshot!(payloads.map(plain).join("\n"));
}

#[test]
fn bytes_that_are_no_text_are_rejected() {
    let registry = Registry::default();
    let context = Context {
        sensor: None,
        measurement: None,
        arrival: ARRIVAL,
        registry: &registry,
        max_payload: 20,
    };
    let reason = |payload: &[u8]| decode(payload, &context).rejected[0].reason;
    assert_eq!(reason(b"[{\"n\":\"\xb9\xcc\"}]"), Reason::NotUtf8);
    assert_eq!(reason(&[b' '; 21]), Reason::TooLarge);
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => "[a-f0-9:/._-]{0,8}".prop_map(|text| format!("\"{text}\"")),
        1 => Just("true".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("1e999".to_owned()),
        1 => Just("[{}]".to_owned()),
    ]
}

fn pack() -> impl Strategy<Value = String> {
    let labels = vec![
        "bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut", "x",
    ];
    let field = (prop::sample::select(labels), value());
    let record = prop::collection::vec(field, 0..6).prop_map(|fields| {
        let fields = fields
            .iter()
            .map(|(label, value)| format!("\"{label}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    });
    prop::collection::vec(record, 0..6).prop_map(|records| format!("[{}]", records.join(",")))
}

proptest! {
    #[test]
    fn whatever_comes_is_taken_or_counted(pack in pack(), cut in any::<prop::sample::Index>()) {
        let registry = registry(&["a"]);
        let context = Context {
            sensor: None,
            measurement: None,
            arrival: ARRIVAL,
            registry: &registry,
            max_payload: 10_000,
        };
        for text in [&pack[..], &pack[..cut.index(pack.len())]] {
            let decoded = decode(text.as_bytes(), &context);
            for observation in &decoded.observations {
                prop_assert!(!observation.values.is_empty() && !observation.sensor.is_empty());
                for (place, value) in observation.values.iter().enumerate() {
                    prop_assert!(value.value.is_finite() && !value.measurement.is_empty());
                    let before = &observation.values[..place];
                    prop_assert!(before.iter().all(|other| other.measurement != value.measurement));
                }
            }
            if decoded.observations.is_empty() && decoded.rejected.is_empty() {
                // nothing but base fields: no value may be in there
                prop_assert!(!text.contains("\"v\"") && !text.contains("\"vb\""), "{}", text);
            }
        }
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let registry = Registry::default();
        let context = Context {
            sensor: Some("s"),
            measurement: None,
            arrival: ARRIVAL,
            registry: &registry,
            max_payload: 100,
        };
        let decoded = decode(&bytes, &context);
        prop_assert!(!decoded.rejected.is_empty() || !decoded.observations.is_empty());
    }
}
