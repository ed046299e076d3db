//! A load whose transitions are known: sensors that swing, each at its own pace, and what the engine makes of them
//! when nothing disturbs it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use citywatch_model::{Name, Observation, Registry, RuleSource, Time, Value, name};
use citywatch_rules::Setup;

use super::Service;

/// Sensors that swing.
pub const SENSORS: u64 = 100;
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;

/// A swing goes up to here.
const SWING: i64 = 100;
/// Where the next one begins. Without rest the alert book of an unoptimised build falls far behind the load.
const SWING_AND_REST: i64 = 400;

/// Rules that these readings break often.
pub const RULES: &str = "
rules:
  - id: test.high
    hazard: flood
    measurement: level
    levels:
      yellow: value >= 60
      red: value >= 90 in 2 samples
    clear: value < 40
  - id: test.rise
    hazard: flood
    measurement: level
    levels:
      orange: rise(5s) >= 50 and count(5s) >= 3
";

/// Sensor, event time and value of reading `number`: every sensor swings at its own pace, and then rests.
pub fn reading(number: u64) -> (String, i64, f64) {
    let sensor = number % SENSORS;
    let turn = (number / SENSORS) as i64;
    let phase = (turn * (7 + sensor as i64 % 5)).rem_euclid(SWING_AND_REST);
    let value = if phase < SWING { phase } else { 0 };
    (format!("k-{sensor:03}"), START + turn * 1_000, value as f64)
}

/// Readings that the history does not have.
pub fn missing(service: &Service, readings: u64) -> Vec<String> {
    let mut missing = Vec::new();
    let turns = readings.div_ceil(SENSORS);
    for sensor in 0..SENSORS {
        let path = format!(
            "/api/v1/readings?sensor=k-{sensor:03}&measurement=level&from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z&points=10000"
        );
        // at this many points a bucket is shorter than the second between two readings
        let points = service.get(&path);
        let times: Vec<&str> = points
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["time"].as_str().unwrap())
            .collect();
        for turn in 0..turns {
            let time = Time::from_millis(START + turn as i64 * 1_000).to_string();
            if !times.contains(&time.as_str()) {
                missing.push(format!("k-{sensor:03} {time}"));
            }
        }
    }
    missing
}

/// Kind, level and value.
pub type Step = (String, String, Option<f64>);

/// Kind, level and value of every transition by rule and sensor; times are arrival times and differ.
pub fn transitions(service: &Service) -> BTreeMap<(String, String), Vec<Step>> {
    let mut found = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("/api/v1/alerts?limit=1000{cursor}"));
        for alert in page["items"].as_array().unwrap() {
            let detail = service.get(&format!("/api/v1/alerts/{}", alert["id"]));
            let steps = detail["transitions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|step| {
                    let text = |key: &str| step[key].as_str().unwrap().to_owned();
                    (text("kind"), text("level"), step["value"].as_f64())
                });
            let text = |key: &str| alert[key].as_str().unwrap().to_owned();
            assert!(
                found
                    .insert((text("rule"), text("subject")), steps.collect())
                    .is_none(),
                "two alerts of one rule and sensor"
            );
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The same readings, straight through the engine.
pub fn undisturbed(readings: u64) -> BTreeMap<(String, String), Vec<Step>> {
    let source = RuleSource {
        file: "test.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let rules = Arc::new(citywatch_rules::compile(&[source]).unwrap());
    let setup = Setup {
        rules,
        registry: Registry::default(),
        workers: 1,
        epoch: 10_000,
    };
    let observations = (0..readings).map(|number| {
        let (sensor, ts, value) = reading(number);
        let time = Time::from_millis(ts);
        let value = Value {
            measurement: name("level"),
            value,
            unit: Name::default(),
        };
        Observation {
            sensor: name(&sensor),
            time,
            arrival: time,
            flags: 0,
            values: [value].into(),
        }
    });
    let mut found: BTreeMap<(String, String), Vec<Step>> = BTreeMap::new();
    let summary = citywatch_rules::backtest(observations, setup, |transition| {
        let key = (transition.rule.to_string(), transition.subject.to_string());
        let step = (
            transition.kind.to_string(),
            transition.level.to_string(),
            transition.value,
        );
        found.entry(key).or_default().push(step);
    });
    assert!(
        summary.unwrap().raised > 100,
        "the load must raise something"
    );
    found
}
