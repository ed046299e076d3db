//! An hour of readings through the service into a real time-series store that is away for ten minutes of them, while
//! the service itself is killed twice: everything arrives, with the very values, and nobody who sends readings notices.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::Service;

const SENSORS: i64 = 100;
/// Each sensor speaks every ten seconds for an hour.
const TURNS: i64 = 360;
const TURN_MS: i64 = 10_000;
/// 2026-09-21T14:13:20Z
const START: i64 = 1_790_000_000_000;

/// A store that takes InfluxDB's line protocol.
struct Store {
    port: u16,
    folder: PathBuf,
    child: Option<Child>,
}

impl Store {
    fn new(service: &Service) -> Store {
        Store {
            port: support::free_port(),
            folder: service.folder.path().join("victoria"),
            child: None,
        }
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.folder.with_extension("log")).unwrap();
        let child = Command::new("victoria-metrics")
            .arg(format!("-httpListenAddr=127.0.0.1:{}", self.port))
            .arg(format!("-storageDataPath={}", self.folder.display()))
            .arg("-retentionPeriod=100y")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("victoria-metrics is installed: .ci/servers does it");
        self.child = Some(child);
        support::wait_for("the store", || {
            support::get(self.port, "/health", None).filter(|(status, _)| *status == 200)
        });
    }

    /// SIGTERM: what it has answered for is on its disk then.
    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        assert!(sent.unwrap().success());
        support::wait_for("the end of the store", || child.try_wait().unwrap());
    }

    /// Every point by series and time; one that was written twice must be the same twice.
    fn points(&self, field: &str) -> BTreeMap<(String, i64), f64> {
        support::get(self.port, "/internal/force_flush", None).unwrap();
        let path = format!("/api/v1/export?match%5B%5D=reading_{field}");
        let (status, lines) = support::get(self.port, &path, None).unwrap();
        assert_eq!(status, 200, "{lines}");
        let mut points = BTreeMap::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |label: &str| line["metric"][label].as_str().unwrap_or("-").to_owned();
            let series = format!(
                "{} {} {}",
                text("sensor"),
                text("measurement"),
                text("unit")
            );
            let values = line["values"].as_array().unwrap().iter();
            let times = line["timestamps"].as_array().unwrap();
            for (value, time) in values.zip(times) {
                let key = (series.clone(), time.as_i64().unwrap());
                let value = value.as_f64().unwrap();
                let known = points.insert(key.clone(), value);
                assert!(
                    known.is_none_or(|known| known == value),
                    "{key:?} is {known:?} and {value}"
                );
            }
        }
        points
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // it may have ended by itself
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn sensor(number: i64) -> String {
    match number {
        0 => "井盖 0, 东=1".to_owned(),
        1 => "#1 \"west\"".to_owned(),
        number => format!("s-{number:03}"),
    }
}

/// Short enough for the store, which keeps about twelve digits.
fn value(number: i64, turn: i64) -> f64 {
    ((number * 37 + turn * 11) % 4_001 - 2_000) as f64 / 8.0
}

fn send_turn(service: &Service, turn: i64) {
    let readings: Vec<Value> = (0..SENSORS)
        .map(|number| json!({"sensor": sensor(number), "ts": START + turn * TURN_MS, "measurement": "water depth",
            "value": value(number, turn), "unit": "cm"}))
        .collect();
    let (status, answer) = service.post("/api/v1/readings", json!(readings).to_string().as_bytes());
    assert_eq!(
        (status, answer["accepted"].as_i64()),
        (200, Some(SENSORS)),
        "{answer}"
    );
}

fn archive(service: &Service) -> Value {
    service.get("/api/v1/status")["archive"].clone()
}

/// Until the archive has everything that is in the journal now.
fn archived(service: &Service) -> Value {
    let last = service.get("/api/v1/status")["journal"]["last"].as_u64();
    support::wait_for("the archive to catch up", || {
        let archive = archive(service);
        (archive["position"].as_u64() >= last).then_some(archive)
    })
}

fn with_archive(settings: &str) -> (Service, Store) {
    let mut service = Service::new(&[], "");
    let store = Store::new(&service);
    let config = std::fs::read_to_string(service.config()).unwrap();
    let archive = format!(
        "[archive]\nurl = \"http://127.0.0.1:{}\"\norg = \"district\"\nbucket = \"readings\"\n{settings}",
        store.port
    );
    std::fs::write(service.config(), config + &archive).unwrap();
    service.begin();
    support::wait_for("the service", || service.is_ready().then_some(()));
    (service, store)
}

#[test]
fn an_hour_arrives_complete_though_the_archive_is_away_for_ten_minutes() {
    let (mut service, mut store) =
        with_archive("batch_points = 500\nflush_every = \"50ms\"\nlongest_wait = \"500ms\"\n");
    store.start();
    (0..150).for_each(|turn| send_turn(&service, turn));
    archived(&service);

    store.stop();
    (150..180).for_each(|turn| send_turn(&service, turn));
    support::wait_for("the failure to be told", || {
        archive(&service)["waiting_since"]
            .as_str()
            .map(str::to_owned)
    });
    let told = archive(&service);
    assert!(
        told["last_error"]["reason"]
            .as_str()
            .unwrap()
            .contains("refused"),
        "{told}"
    );
    assert!(told["behind_records"].as_i64().unwrap() > 0, "{told}");
    let (_, metrics) = support::get(service.http, "/metrics", None).unwrap();
    let lag = metrics
        .lines()
        .find_map(|line| line.strip_prefix("citywatch_archive_lag_records "));
    assert!(lag.unwrap().parse::<i64>().unwrap() > 0, "{metrics}");
    service.kill();
    service.start();
    (180..210).for_each(|turn| send_turn(&service, turn));
    // another value for a moment that is archived: the first one stays
    let again = json!({"sensor": sensor(7), "ts": START, "measurement": "water depth", "value": 999, "unit": "cm"});
    service.send(&again);

    store.start();
    (210..300).for_each(|turn| send_turn(&service, turn));
    service.kill();
    service.start();
    (300..TURNS).for_each(|turn| send_turn(&service, turn));
    let end = archived(&service);
    println!("archive at the end: {end}");

    let found = store.points("value");
    let mut missing = Vec::new();
    for number in 0..SENSORS {
        for turn in 0..TURNS {
            let key = (
                format!("{} water depth cm", sensor(number)),
                START + turn * TURN_MS,
            );
            if found.get(&key) != Some(&value(number, turn)) {
                missing.push((key.clone(), found.get(&key).copied()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "{} of {}: {:?}",
        missing.len(),
        SENSORS * TURNS,
        &missing[..missing.len().min(5)]
    );
    assert_eq!(found.len() as i64, SENSORS * TURNS);
    // nobody registered these sensors
    assert!(store.points("flags").values().all(|flags| *flags == 4.0));
    assert_eq!(end["refused"], 0);
}

#[test]
fn what_is_refused_can_be_looked_at_and_a_dead_archive_holds_up_no_end() {
    let (mut service, mut store) =
        with_archive("flush_every = \"20ms\"\nlongest_wait = \"200ms\"\n");
    let check = |service: &Service| {
        let config = service.config().display().to_string();
        let output = support::run(&["check", "--config", &config]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(check(&service).contains("does not answer"));
    service.send(
        &json!([{"sensor": "odd\\", "measurement": "level", "value": 3, "unit": "m"},
        {"sensor": "fine", "ts": START, "measurement": "level", "value": 4, "unit": "m"}]),
    );
    // the archive never answered so far
    assert!(service.terminate().success());
    store.start();
    assert!(!check(&service).contains("does not answer"));
    service.start();
    assert_eq!(archived(&service)["refused"], 1);
    let refused = service.get("/api/v1/archive/refused?limit=10");
    assert_eq!(refused.as_array().unwrap().len(), 1, "{refused}");
    assert_eq!(
        (&refused[0]["sensor"], &refused[0]["value"]),
        (&json!("odd\\"), &json!(3.0))
    );
    assert!(
        refused[0]["reason"].as_str().unwrap().contains("backslash"),
        "{refused}"
    );
    let (_, metrics) = support::get(service.http, "/metrics", None).unwrap();
    assert!(
        metrics.contains("citywatch_archive_refused_total 1"),
        "{metrics}"
    );
    let found = store.points("value");
    assert_eq!(
        found,
        BTreeMap::from([(("fine level m".to_owned(), START), 4.0)])
    );
}

#[test]
fn without_an_archive_nothing_speaks_of_one() {
    let mut service = Service::new(&[], "");
    service.start();
    assert!(service.get("/api/v1/status").get("archive").is_none());
    let answer = support::get(
        service.http,
        "/api/v1/archive/refused",
        Some(support::TOKEN),
    );
    assert!(answer.is_some_and(|(status, text)| status == 404 && text.contains("[archive]")));
}
