//! SIGKILL under load, with engine states saved all the while: what was acknowledged is in the history exactly
//! once, and the transitions are those of an undisturbed run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use citywatch_ingest::client::{ClientOptions, MqttClient};
use citywatch_model::{Name, Observation, Registry, RuleSource, Time, Value, name};
use citywatch_rules::Setup;
use serde_json::json;
use support::Service;

const KILLS: u64 = 10;
const CONNECTIONS: u64 = 10;
const SENSORS_EACH: u64 = 10;
/// Readings a second, all connections together.
const RATE: u64 = 5_000;
/// Readings between two kills.
const BETWEEN: u64 = 3_000;
const READINGS: u64 = (KILLS + 1) * BETWEEN;
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;

const RULES: &str = "
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

/// Sensor, event time and value of reading `number`: every sensor swings at its own pace.
fn reading(number: u64) -> (String, i64, f64) {
    let sensor = number % (CONNECTIONS * SENSORS_EACH);
    let turn = (number / (CONNECTIONS * SENSORS_EACH)) as i64;
    let value = (turn * (7 + sensor as i64 % 5)).rem_euclid(100) as f64;
    (format!("k-{sensor:03}"), START + turn * 1_000, value)
}

#[test]
fn nothing_is_lost_or_doubled_by_ten_kills() {
    let often = "[engine]\nsave_every = \"100ms\"\n";
    let mut service = Service::new(&[("rules/test.yaml", RULES)], often);
    service.start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let url = format!("mqtt://test:{}@127.0.0.1:{}", support::TOKEN, service.mqtt);
            runtime.spawn(publish(connection, url, sent.clone(), acknowledged.clone()))
        })
        .collect();

    let mut between = 0;
    for kill in 1..=KILLS {
        support::wait_for("readings on their way", || {
            let (sent, done) = (
                sent.load(Ordering::SeqCst),
                acknowledged.load(Ordering::SeqCst),
            );
            (sent >= kill * BETWEEN && done < sent).then_some(())
        });
        service.kill();
        let unacknowledged = sent.load(Ordering::SeqCst) - acknowledged.load(Ordering::SeqCst);
        println!(
            "kill {kill}: {unacknowledged} readings unacknowledged of {} sent",
            sent.load(Ordering::SeqCst)
        );
        service.start();
        let [state, ledger, journal] = service.starts()[kill as usize];
        println!("         restarted with state {state}, ledger {ledger}, journal {journal}");
        between += u64::from(0 < state && state < ledger);
    }
    assert!(
        between > 0,
        "no kill fell between a saved state and a later commit of the ledger"
    );
    for publisher in publishers {
        runtime.block_on(publisher).unwrap();
    }
    assert_eq!(acknowledged.load(Ordering::SeqCst), READINGS);

    let status = support::wait_for("the history", || {
        let status = service.get("/api/v1/status");
        (status["history"]["position"].as_u64() >= status["journal"]["last"].as_u64()
            && status["booked"].as_u64() >= status["journal"]["last"].as_u64())
        .then_some(status)
    });
    println!("history: {}", status["history"]);
    assert_eq!(missing(&service), Vec::<String>::new(), "{}", service.log());
    assert_eq!(status["history"]["readings"], READINGS);
    assert_eq!(status["history"]["conflicts"], 0);
    assert_eq!(transitions(&service), undisturbed());
    assert!(service.terminate().success());
}

/// One connection with its own sensors, so that each sensor's readings keep their order.
async fn publish(connection: u64, url: String, sent: Arc<AtomicU64>, acknowledged: Arc<AtomicU64>) {
    let options = ClientOptions {
        window: 20,
        longest_backoff: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let client = MqttClient::connect(&url, &format!("kill-{connection}"), options).unwrap();
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 * CONNECTIONS / RATE));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut receipts = tokio::task::JoinSet::new();
    for number in (0..READINGS).filter(|number| number % CONNECTIONS == connection) {
        tick.tick().await;
        let (sensor, ts, value) = reading(number);
        let payload =
            json!({"sensor": sensor, "ts": ts, "measurement": "level", "value": value}).to_string();
        let receipt = client
            .send("citywatch/readings", payload, false)
            .await
            .unwrap();
        sent.fetch_add(1, Ordering::SeqCst);
        let acknowledged = acknowledged.clone();
        receipts.spawn(async move {
            receipt.await.unwrap();
            acknowledged.fetch_add(1, Ordering::SeqCst);
        });
    }
    receipts.join_all().await;
    client.close().await;
}

/// Readings that the history does not have.
fn missing(service: &Service) -> Vec<String> {
    let mut missing = Vec::new();
    let turns = READINGS.div_ceil(CONNECTIONS * SENSORS_EACH);
    for sensor in 0..CONNECTIONS * SENSORS_EACH {
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

type Step = (String, String, Option<f64>);

/// Kind, level and value of every transition by rule and sensor; times are arrival times and differ.
fn transitions(service: &Service) -> BTreeMap<(String, String), Vec<Step>> {
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
fn undisturbed() -> BTreeMap<(String, String), Vec<Step>> {
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
    let observations = (0..READINGS).map(|number| {
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
