//! A long start as seen from outside: what answers, and with what.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use citywatch_ingest::{Clock, Journal, JournalConfig};
use citywatch_model::{Body, Observation, Time, Value, name};
use support::Service;

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
