//! One rule is edited again and again while 5,000 readings a second come in; the others must say what they say
//! undisturbed.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Service, TOKEN};

const SENSORS: u64 = 250;
const MOMENTS: u64 = 120;
/// Readings a second; on a slow machine fewer come.
const RATE: u64 = 5_000;

const RULES: &str = "rules:
  - id: steady.samples
    measurement: level
    levels: { yellow: value >= 60 in 3 samples, red: value >= 90 }
    hold: 4s
  - id: steady.window
    measurement: level
    levels: { orange: rise(20s) >= 50 and span(20s) >= 10 }
  - id: edited
    measurement: level
    levels: { blue: value >= 50 }
";

/// A number from 0 to 99 that depends on nothing but its arguments.
fn level(sensor: u64, moment: u64) -> u64 {
    let mixed = (sensor * 7_919 + moment / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) % 100
}

/// Sends every reading, a moment after the other; answers readings a second.
fn send(service: &Service, start: i64) -> f64 {
    let began = Instant::now();
    let pace = Duration::from_secs(1) * SENSORS as u32 / RATE as u32;
    for moment in 0..MOMENTS {
        std::thread::sleep((pace * moment as u32).saturating_sub(began.elapsed()));
        let readings: Vec<Value> = (0..SENSORS)
            .map(|sensor| {
                let ts = start + moment as i64 * 1_000;
                json!({ "sensor": format!("s-{sensor}"), "ts": ts, "measurement": "level", "value": level(sensor, moment) })
            })
            .collect();
        let body = Value::Array(readings).to_string();
        let (status, answer) = service.post("/api/v1/readings", body.as_bytes());
        assert_eq!(status, 200, "{answer}");
    }
    (SENSORS * MOMENTS) as f64 / began.elapsed().as_secs_f64()
}

/// Kind, level and value of each transition of the steady rules, by rule and sensor.
fn said(service: &Service) -> BTreeMap<String, Vec<Value>> {
    service.judged();
    let mut said = BTreeMap::new();
    for rule in ["steady.samples", "steady.window"] {
        let list = service.get(&format!("/api/v1/alerts?rule={rule}&limit=1000"));
        for alert in list["items"].as_array().unwrap() {
            let detail = service.get(&format!("/api/v1/alerts/{}", alert["id"]));
            let transitions = detail["transitions"].as_array().unwrap().iter();
            let words =
                transitions.map(|t| json!([t["kind"], t["level"], t["value"], t["rule_version"]]));
            let subject = alert["subject"].as_str().unwrap();
            said.insert(format!("{rule} {subject}"), words.collect());
        }
    }
    said
}

fn started() -> Service {
    let mut service = Service::new(&[("rules/r.yaml", RULES)], "");
    service.start();
    service
}

#[test]
fn editing_one_rule_changes_nothing_for_the_others() {
    let now = jiff::Timestamp::now().as_millisecond();
    let start = now - MOMENTS as i64 * 1_000;
    let undisturbed = started();
    send(&undisturbed, start);
    let expected = said(&undisturbed);
    drop(undisturbed);
    let transitions: usize = expected.values().map(Vec::len).sum();
    assert!(
        transitions > 200,
        "the readings say something: {transitions}"
    );

    let disturbed = started();
    let (port, over) = (disturbed.http, AtomicBool::new(false));
    let (edits, rate) = std::thread::scope(|scope| {
        let editor = scope.spawn(|| {
            let mut edits = 0;
            while !over.load(Ordering::SeqCst) {
                let text = format!(
                    "id: edited\nmeasurement: level\nlevels: {{ blue: value >= {} }}\n",
                    40 + edits % 20
                );
                let body = json!({ "text": text, "reason": "another number" }).to_string();
                let path = "/api/v1/rules/edited";
                let answer =
                    support::request(port, "PUT", path, Some(TOKEN), Some(body.as_bytes()));
                let (status, answer) = answer.unwrap();
                assert_eq!(status, 200, "{answer}");
                edits += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            edits
        });
        let rate = send(&disturbed, start);
        over.store(true, Ordering::SeqCst);
        (editor.join().unwrap(), rate)
    });
    println!("{edits} edits while {rate:.0} readings a second came in, {transitions} transitions");
    assert!(edits >= 3, "{edits} edits");
    assert_eq!(said(&disturbed), expected);
}
