//! SIGKILL under load, with engine states saved all the while: what was acknowledged is in the history exactly
//! once, and the transitions are those of an undisturbed run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use citywatch_ingest::client::{ClientOptions, MqttClient};
use serde_json::json;
use support::Service;
use support::swing::{self, RULES, reading};

const KILLS: u64 = 10;
const CONNECTIONS: u64 = 10;
/// Readings a second, all connections together.
const RATE: u64 = 5_000;
/// Readings between two kills.
const BETWEEN: u64 = 3_000;
const READINGS: u64 = (KILLS + 1) * BETWEEN;

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
    assert_eq!(
        swing::missing(&service, READINGS),
        Vec::<String>::new(),
        "{}",
        service.log()
    );
    assert_eq!(status["history"]["readings"], READINGS);
    assert_eq!(status["history"]["conflicts"], 0);
    assert_eq!(swing::transitions(&service), swing::undisturbed(READINGS));
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
