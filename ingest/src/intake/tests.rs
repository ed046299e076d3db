//! The intake at its boundary: what goes in, what the doors are told, what is kept.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use citywatch_model::{Body, Observation, Registry, Sensor, Time, flags, name};

use super::{Accepted, Door, Form, Intake, IntakeConfig, IntakeError, Message};
use crate::rejected::Reason;
use crate::{Clock, History, Journal, JournalConfig, JournalError};

const NOW: i64 = 1_790_000_000_000;
const LIMIT: Duration = Duration::from_secs(20);

struct Bench {
    intake: Intake,
    journal: Journal,
    history: History,
    metrics: prometheus::Registry,
}

fn bench(dir: &Path) -> Bench {
    let metrics = prometheus::Registry::new();
    let clock = Clock::driven(Time::from_millis(NOW));
    let config = JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(dir.join("journal"))
    };
    let journal = Journal::open(config, clock.clone(), &metrics).unwrap();
    journal.stop_ticks();
    let history = History::open(dir.join("history"), &metrics).unwrap();
    let registry = Arc::new(registry(&["g-1"]));
    let intake = Intake::new(
        journal.clone(),
        history.clone(),
        clock,
        registry,
        IntakeConfig::default(),
        &metrics,
    )
    .unwrap();
    Bench {
        intake,
        journal,
        history,
        metrics,
    }
}

fn registry(ids: &[&str]) -> Registry {
    let sensors = ids
        .iter()
        .map(|id| (name(id), Sensor::unknown(name(id))))
        .collect();
    Registry {
        sensors,
        ..Registry::default()
    }
}

impl Bench {
    async fn publish(&self, topic: &str, payload: &str) -> Accepted {
        let message = Message {
            door: Door::Broker,
            source: "client-1",
            topic: Some(topic),
            payload: payload.as_bytes(),
            form: Form::Usual,
            retained: false,
        };
        self.intake.accept(message).await.unwrap()
    }

    async fn journalled(&self) -> Vec<Observation> {
        let mut reader = self.journal.reader(0);
        let mut observations = Vec::new();
        while let Some(records) = reader.try_next().unwrap() {
            observations.extend(records.iter().filter_map(|record| match &record.body {
                Body::Observation(observation) => Some(observation.clone()),
                _ => None,
            }));
        }
        observations
    }

    fn metric(&self, line: &str) -> bool {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.metrics.gather())
            .unwrap();
        text.lines().any(|found| found == line)
    }
}

#[tokio::test]
async fn an_answered_message_is_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    let accepted = bench.publish(
        "citywatch/readings/g-1/methane",
        r#"{"ts":1790000000,"value":1.5,"unit":"%LEL"}"#,
    );
    assert_eq!(
        accepted.await,
        Accepted {
            position: 1,
            readings: 1,
            rejected: vec![]
        }
    );
    let journalled = bench.journalled().await;
    assert_eq!(journalled.len(), 1);
    let observation = &journalled[0];
    assert_eq!(
        (
            observation.sensor,
            observation.time.millis(),
            observation.flags,
            observation.values[0].value
        ),
        (name("g-1"), NOW, 0, 1.5)
    );
    assert!(bench.metric(r#"citywatch_intake_readings_total{door="broker"} 1"#));
}

#[tokio::test]
async fn the_good_part_is_taken_and_the_bad_part_is_kept_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    let payload =
        r#"[{"sensor":"g-1","value":1},{"sensor":"g-1","value":"2"},{"sensor":"new","value":3}]"#;
    let accepted = bench.publish("citywatch/readings", payload).await;
    assert_eq!(
        (
            accepted.position,
            accepted.readings,
            accepted.rejected.len()
        ),
        (2, 2, 1)
    );
    assert_eq!(
        (accepted.rejected[0].index, accepted.rejected[0].reason),
        (Some(1), Reason::NumberAsString)
    );

    let journalled = bench.journalled().await;
    let marks: Vec<u8> = journalled
        .iter()
        .map(|observation| observation.flags)
        .collect();
    assert_eq!(
        marks,
        [flags::NO_TIME, flags::NO_TIME | flags::UNKNOWN_SENSOR]
    );
    let unknown = bench.intake.unknown_sensors();
    assert_eq!(
        (unknown.len(), unknown[0].id, unknown[0].readings),
        (1, name("new"), 1)
    );

    let kept = bench.intake.rejected(10).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].payload.as_str(), kept[0].source.as_str()),
        (payload, "client-1")
    );
    assert_eq!(kept[0].rejections, accepted.rejected);
    assert!(bench.metric(r#"citywatch_intake_rejected_total{reason="number_as_string"} 1"#));

    bench
        .intake
        .set_registry(Arc::new(registry(&["g-1", "new"])));
    assert_eq!(bench.intake.unknown_sensors(), []);
    bench
        .publish(
            "citywatch/readings",
            r#"{"sensor":"new","value":3,"ts":1790000000}"#,
        )
        .await;
    assert_eq!(bench.journalled().await.last().unwrap().flags, 0);
}

#[tokio::test]
async fn a_message_that_is_wrong_as_a_whole_is_answered_without_journalling() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    for (topic, payload, reason) in [
        ("elsewhere/x", "{}", Reason::UnknownTopic),
        ("citywatch/readings", "", Reason::Empty),
        ("citywatch/readings", "{", Reason::MalformedJson),
    ] {
        let accepted = bench.publish(topic, payload).await;
        assert_eq!((accepted.position, accepted.readings), (0, 0), "{payload}");
        assert_eq!(accepted.rejected[0].reason, reason, "{payload}");
    }
    assert_eq!(bench.intake.rejected(10).unwrap().len(), 3);
    assert_eq!(bench.journal.last(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_disk_under_rejected_payloads_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    let (holding, held) = tokio::sync::oneshot::channel();
    let (go_on, told) = std::sync::mpsc::channel();
    let history = bench.history.clone();
    let disk = std::thread::spawn(move || {
        let _guard = history.hold_rejected();
        holding.send(()).unwrap();
        told.recv_timeout(LIMIT)
    });
    held.await.unwrap();
    let others = async {
        bench
            .publish("citywatch/readings/g-1", r#"{"value":1}"#)
            .await;
        go_on.send(()).unwrap();
    };
    tokio::join!(bench.publish("citywatch/readings/g-1", "nonsense"), others);
    let went_on = disk.join().unwrap();
    assert_eq!(went_on, Ok(()), "the thread that serves others was held up");
    assert_eq!(bench.intake.rejected(10).unwrap().len(), 1);
}

#[tokio::test]
async fn rejected_payloads_keep_their_order_and_count() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    for number in 0..50 {
        let payload = format!("bad {number}");
        let answer = bench.publish("citywatch/readings/g-1", &payload).await;
        assert_eq!(answer.rejected.len(), 1);
    }
    let kept = bench.intake.rejected(100).unwrap();
    let kept: Vec<_> = kept.iter().map(|kept| kept.payload.clone()).collect();
    let expected: Vec<_> = (0..50)
        .rev()
        .map(|number| format!("bad {number}"))
        .collect();
    assert_eq!(kept, expected);
    assert!(bench.metric(r#"citywatch_intake_rejected_total{reason="malformed_json"} 50"#));
}

#[tokio::test]
async fn nothing_is_answered_that_is_not_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    bench.journal.clone().close().await;
    let message = Message {
        door: Door::Http,
        source: "127.0.0.1",
        topic: None,
        payload: br#"{"sensor":"g-1","value":1}"#,
        form: Form::Usual,
        retained: false,
    };
    let refused = bench.intake.accept(message).await.unwrap_err();
    assert_eq!(refused, IntakeError::Journal(JournalError::Closed));
    assert!(!refused.may_retry());
    assert!(bench.metric(r#"citywatch_intake_refused_total{door="http"} 1"#));
}
