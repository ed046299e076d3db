//! What the service says of itself from outside: in a long start, and while nothing reaches the alert book.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use citywatch_ingest::{Clock, Journal, JournalConfig};
use citywatch_model::{Body, Observation, Time, Value, name};
use serde_json::json;
use support::{Service, get, wait_for};

const RECORDS: i64 = 500_000;
const APPEND: i64 = 10_000;

const RULES: &str = "
rules:
  - { id: t.rise, measurement: level, levels: { red: rise(10m) >= 1000, yellow: slope(10m) >= 1000 } }
";

fn observation(number: i64) -> Body {
    let time = Time::from_millis(1_790_000_000_000 + number);
    let value = Value {
        measurement: name("level"),
        value: 1.0,
        unit: name("m"),
    };
    Body::Observation(Observation {
        sensor: name(&format!("s-{}", number % 1_000)),
        time,
        arrival: time,
        flags: 0,
        values: [value].into(),
    })
}

/// Adds what a long run would have left in the journal of a service that does not run.
fn fill(service: &Service) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = JournalConfig::new(service.folder.path().join("data/journal"));
        let journal = Journal::open(config, Clock::wall(), &prometheus::Registry::new()).unwrap();
        for first in (0..RECORDS).step_by(APPEND as usize) {
            let bodies = (first..first + APPEND).map(observation).collect();
            journal.append(bodies).await.unwrap();
        }
        journal.close().await;
    });
}

#[test]
fn a_long_start_says_how_far_it_is() {
    let mut service = Service::new(&[("rules/t.yaml", RULES)], "");
    service.start();
    assert!(service.terminate().success());
    fill(&service);
    service.begin();
    let ask = |path| support::get(service.http, path, Some(support::TOKEN));
    let first = support::wait_for("the first answer", || ask("/healthz"));
    assert_eq!(first, (200, "ok".to_owned()));
    let (status, early) = ask("/api/v1/alerts").unwrap();
    assert_eq!(status, 503, "{early}");
    assert!(early.contains("urn:citywatch:problem:not-ready"), "{early}");
    let waiting = support::wait_for("the journal to be read", || {
        let (_, answer) = ask("/readyz").unwrap();
        answer
            .contains("journal positions are read")
            .then_some(answer)
    });
    assert!(waiting.contains(" of 50"), "{waiting}");
    support::wait_for("the service", || service.is_ready().then_some(()));
    assert_eq!(
        service.get("/api/v1/status")["journal"]["last"]
            .as_i64()
            .unwrap()
            / APPEND,
        50
    );
}

/// Holds the ledger's write lock until its standard input ends.
const LOCK: &str = "
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
";

#[test]
fn an_alert_book_that_stands_still_is_told_and_catches_up() {
    let rules = "rules:\n  - { id: t.high, measurement: level, levels: { red: value >= 5 } }\n";
    let config = "[engine]\noverdue_after = \"2s\"\n";
    let mut service = Service::new(&[("rules/t.yaml", rules)], config);
    service.start();

    let mut holder = Command::new("python3")
        .args(["-c", LOCK])
        .arg(service.folder.path().join("data/ledger.sqlite"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = holder.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");

    let reading = json!({ "sensor": "s", "measurement": "level", "value": 7 });
    let (status, answer) = service.post("/api/v1/readings", reading.to_string().as_bytes());
    assert_eq!(status, 200, "the journal takes it: {answer}");
    let told = wait_for("the complaint", || {
        let (status, answer) = get(service.http, "/readyz", None)?;
        (status == 503).then_some(answer)
    });
    assert!(told.contains("the alert book has not got"), "{told}");
    let behind = &service.get("/api/v1/status")["behind_seconds"];
    assert!(behind.as_f64() > Some(2.0), "{behind}");
    let log = service.log();
    assert!(log.contains("the alert book has not got"), "{log}");
    assert!(service.alerts("").is_empty());

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    wait_for("the alert", || {
        (service.alerts("").len() == 1).then_some(())
    });
    wait_for("readiness", || service.is_ready().then_some(()));
    assert!(service.terminate().success());
}
