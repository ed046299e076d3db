//! The event stream: it goes on where a follower stopped, and tells of what is no longer kept.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use citywatch_alerting::{Directory, Ledger, Settings};
use serde_json::{Value, json};
use support::Service;

const RULES: &str = "rules:
  - { id: gas.test, hazard: gas, measurement: methane, levels: { orange: value >= 25, red: value >= 50 } }
";

const SENSORS: &str = "sensor_id,measurements\ng-1,methane\n";

fn service() -> Service {
    let mut service = Service::new(&[("rules/gas.yaml", RULES), ("sensors.csv", SENSORS)], "");
    service.start();
    service
}

/// The lines of the event stream after event `after`.
fn follow(service: &Service, after: i64) -> impl Iterator<Item = String> + use<> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", service.http)).unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nLast-Event-ID: {after}\r\n\r\n",
        support::TOKEN
    );
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream).lines().map(Result::unwrap)
}

#[test]
fn events_go_on_where_a_follower_stopped() {
    let mut service = service();
    service.post("/api/v1/readings", br#"{"sensor":"g-1","value":26}"#);
    support::wait_for("the alert", || service.alerts("").pop());
    let mut lines = follow(&service, 0);
    let first = lines.find(|line| line.starts_with("data:")).unwrap();
    let event: Value = serde_json::from_str(first.trim_start_matches("data:")).unwrap();
    assert_eq!(
        (event["kind"].as_str(), event["id"].as_i64()),
        (Some("version.added"), Some(1)),
        "{event}"
    );
    assert!(lines.any(|line| line == "event: alert.raised"));
    service.post("/api/v1/readings", br#"{"sensor":"g-1","value":70}"#);
    assert!(lines.any(|line| line == "event: alert.changed"));
    assert!(
        service.terminate().success(),
        "a follower must not hold up the end: {}",
        service.log()
    );
}

/// Forgets the events of a service that does not run, as it does itself with those that are a week old.
fn prune(service: &Service) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let path = service.folder.path().join("data/ledger.sqlite");
        let settings = Settings {
            keep_events: citywatch_model::Duration::from_secs(0),
            ..Settings::default()
        };
        let metrics = prometheus::Registry::new();
        let ledger = Ledger::open(path, Arc::new(Directory::default()), settings, &metrics);
        let ledger = ledger.await.unwrap();
        assert!(ledger.prune().await.unwrap() > 1);
        ledger.shutdown().await.unwrap();
    });
}

#[test]
fn a_follower_who_was_away_too_long_is_told_of_the_gap() {
    let mut service = service();
    for value in [26, 70, 1] {
        let reading = json!({"sensor": "g-1", "value": value}).to_string();
        service.post("/api/v1/readings", reading.as_bytes());
    }
    // the end waits for all that was accepted
    assert!(service.terminate().success());
    prune(&service);
    service.start();
    let mut lines = follow(&service, 1).filter(|line| line.contains(": ") || line.contains(":{"));
    let mut next = |start: &str| {
        let found = lines.find(|line| line.starts_with(start)).unwrap();
        found[start.len()..].trim().to_owned()
    };
    assert_eq!(next("event:"), "gap");
    let gap: Value = serde_json::from_str(&next("data:")).unwrap();
    assert_eq!(
        (&gap["after"], gap["from"].as_i64()),
        (&json!(1), Some(4)),
        "{gap}"
    );
    let event: Value = serde_json::from_str(&next("data:")).unwrap();
    assert_eq!(event["id"], gap["from"], "{event}");
}
