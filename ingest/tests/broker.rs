//! The embedded broker with real clients over loopback: what is acknowledged is journalled, what cannot be
//! journalled is not acknowledged.
#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use citywatch_ingest::broker::{BrokerConfig, BrokerError, EmbeddedBroker, User};
use citywatch_ingest::client::{ClientError, ClientOptions, MqttClient};
use citywatch_ingest::{Clock, History, Intake, IntakeConfig, Journal, JournalConfig, Reason};
use citywatch_model::{Body, Observation, Registry};
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(20);

struct House {
    journal: Journal,
    intake: Intake,
    _folder: TempDir,
}

impl House {
    fn new() -> House {
        let folder = TempDir::new().unwrap();
        let metrics = prometheus::Registry::new();
        let clock = Clock::wall();
        let config = JournalConfig {
            free_space_mark: 0,
            ..JournalConfig::new(folder.path().join("journal"))
        };
        let journal = Journal::open(config, clock.clone(), &metrics).unwrap();
        journal.stop_ticks();
        let history = History::open(folder.path().join("history"), &metrics).unwrap();
        let registry = Arc::new(Registry::default());
        let intake = Intake::new(
            journal.clone(),
            history,
            clock,
            registry,
            IntakeConfig::default(),
            &metrics,
        )
        .unwrap();
        House {
            journal,
            intake,
            _folder: folder,
        }
    }

    async fn broker(&self, config: BrokerConfig) -> EmbeddedBroker {
        EmbeddedBroker::start(config, self.intake.clone())
            .await
            .unwrap()
    }

    /// Everything that the journal holds at this moment.
    fn observations(&self) -> Vec<Observation> {
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

    fn rejected(&self) -> Vec<Reason> {
        let payloads = self.intake.rejected(100).unwrap();
        payloads
            .iter()
            .flat_map(|payload| payload.rejections.iter().map(|rejection| rejection.reason))
            .collect()
    }
}

fn open_to_all(listen: SocketAddr) -> BrokerConfig {
    BrokerConfig {
        allow_anonymous: true,
        ..BrokerConfig::new(listen)
    }
}

fn any_port() -> BrokerConfig {
    open_to_all(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn client(broker: SocketAddr, client_id: &str) -> MqttClient {
    let options = ClientOptions {
        first_backoff: Duration::from_millis(20),
        ..ClientOptions::default()
    };
    MqttClient::connect(&format!("mqtt://{broker}"), client_id, options).unwrap()
}

/// rumqttc itself, for what our own client never does.
fn raw_client(
    broker: SocketAddr,
    client_id: &str,
    will: Option<LastWill>,
) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
    options.set_max_packet_size(10_000_000, 10_000_000);
    if let Some(will) = will {
        options.set_last_will(will);
    }
    AsyncClient::new(options, 10)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("the limit is generous")
}

async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_reading_is_in_the_journal() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let client = client(broker.local_addr(), "a");
    within(client.publish(
        "citywatch/readings/s-1",
        r#"{"value":7,"ts":1790000000}"#,
        false,
    ))
    .await
    .unwrap();
    let observations = house.observations();
    assert_eq!(
        (observations.len(), observations[0].sensor.as_str()),
        (1, "s-1")
    );
    within(client.close()).await;
    within(broker.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_there_is_no_acknowledgement_but_a_disconnect() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    house.journal.clone().close().await;
    let address = broker.local_addr();
    let payload = r#"{"sensor":"a","value":1}"#;
    let (v3, mut events) = raw_client(address, "v3", None);
    v3.publish("citywatch/readings", QoS::AtLeastOnce, false, payload)
        .await
        .unwrap();
    within(async {
        while let Ok(event) = events.poll().await {
            assert!(
                !matches!(event, Event::Incoming(Packet::PubAck(_))),
                "{event:?}"
            );
        }
    })
    .await;
    let options = rumqttc::v5::MqttOptions::new("v5", address.ip().to_string(), address.port());
    let (v5, mut events) = rumqttc::v5::AsyncClient::new(options, 10);
    v5.publish(
        "citywatch/readings",
        rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
        false,
        payload,
    )
    .await
    .unwrap();
    within(async {
        while let Ok(event) = events.poll().await {
            assert!(!format!("{event:?}").contains("PubAck"), "{event:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_topics_pass_and_only_foreign_ones_are_listed() {
    let house = House::new();
    let users = vec![User::with_password("citywatch", "secret")];
    let broker = house
        .broker(BrokerConfig {
            users,
            ..any_port()
        })
        .await;
    let url = format!("mqtt://citywatch:secret@{}", broker.local_addr());
    let client = MqttClient::connect(&url, "a", ClientOptions::default()).unwrap();
    let mut received = within(client.subscribe("#")).await.unwrap();
    for topic in ["citywatch/cap/1", "citywatch/cap", "zigbee2mqtt/kitchen"] {
        within(client.publish(topic, "payload", false))
            .await
            .unwrap();
        assert_eq!(within(received.recv()).await.unwrap().topic, topic);
    }
    assert_eq!(house.rejected(), [Reason::UnknownTopic]);
    assert!(house.observations().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_publishes_warnings() {
    let house = House::new();
    let users = vec![User::with_password("citywatch", "secret")];
    let broker = house
        .broker(BrokerConfig {
            users,
            ..any_port()
        })
        .await;
    let (forger, mut events) = raw_client(broker.local_addr(), "forger", None);
    let forged = forger.publish("citywatch/cap/gas/red", QoS::AtLeastOnce, false, "<alert/>");
    forged.await.unwrap();
    within(async {
        while let Ok(event) = events.poll().await {
            assert!(!format!("{event:?}").contains("PubAck"), "{event:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_5_and_every_qos() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let address = broker.local_addr();
    let options = rumqttc::v5::MqttOptions::new("v5", address.ip().to_string(), address.port());
    let (v5, mut events) = rumqttc::v5::AsyncClient::new(options, 10);
    use rumqttc::v5::mqttbytes::QoS as QoS5;
    for (sensor, qos) in [
        ("q0", QoS5::AtMostOnce),
        ("q1", QoS5::AtLeastOnce),
        ("q2", QoS5::ExactlyOnce),
    ] {
        v5.publish(
            format!("citywatch/readings/{sensor}"),
            qos,
            true,
            r#"{"value":1}"#,
        )
        .await
        .unwrap();
    }
    within(async {
        while !format!("{:?}", events.poll().await.unwrap()).contains("Incoming(PubComp") {}
    })
    .await;
    let (v3, mut events) = raw_client(address, "v3", None);
    v3.publish(
        "citywatch/readings/q2-v3",
        QoS::ExactlyOnce,
        false,
        r#"{"value":1}"#,
    )
    .await
    .unwrap();
    within(async {
        while !matches!(
            events.poll().await.unwrap(),
            Event::Incoming(Packet::PubComp(_))
        ) {}
    })
    .await;
    let sensors: Vec<&str> = house
        .observations()
        .iter()
        .map(|observation| observation.sensor.as_str())
        .collect();
    assert_eq!(sensors, ["q0", "q1", "q2", "q2-v3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_users_with_the_right_password_come_in() {
    let house = House::new();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let nobody = EmbeddedBroker::start(BrokerConfig::new(listen), house.intake.clone()).await;
    assert!(matches!(nobody, Err(BrokerError::NobodyAllowed)));
    let users = vec![User::with_password("gas", "right")];
    let broker = house
        .broker(BrokerConfig {
            users,
            ..BrokerConfig::new(listen)
        })
        .await;
    let address = broker.local_addr();
    for (login, allowed) in [
        ("gas:right@", true),
        ("gas:wrong@", false),
        ("water:right@", false),
        ("", false),
    ] {
        let url = format!("mqtt://{login}{address}");
        let client = MqttClient::connect(&url, "a", ClientOptions::default()).unwrap();
        match within(client.connected()).await {
            Ok(()) => assert!(allowed, "{login}"),
            Err(ClientError::Refused { .. }) => assert!(!allowed, "{login}"),
            Err(other) => panic!("{login}: {other}"),
        }
        within(client.close()).await;
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = EmbeddedBroker::start(open_to_all(listen), house.intake.clone())
        .await
        .err()
        .unwrap();
    let expected = format!(
        "the embedded broker cannot listen on {listen}: port {} is taken by another program: stop that program, or set another address in `[broker] listen`",
        listen.port()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_payload_is_judged_and_not_repeated_for_ever() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let client = client(broker.local_addr(), "a");
    within(client.publish("citywatch/readings", vec![b' '; 1_000_000], false))
        .await
        .unwrap();
    assert_eq!(house.rejected(), [Reason::TooLarge]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_at_once_lose_nothing() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let address = broker.local_addr();
    let publishing = (0..50).map(|number| {
        tokio::spawn(async move {
            let client = client(address, &format!("client-{number}"));
            for ts in 1..=100 {
                let payload = format!(r#"{{"ts":{},"value":1}}"#, 1_790_000_000 + ts);
                client
                    .publish(&format!("citywatch/readings/s-{number}"), payload, false)
                    .await
                    .unwrap();
            }
        })
    });
    for task in publishing.collect::<Vec<_>>() {
        within(task).await.unwrap();
    }
    let mut seen: Vec<_> = house
        .observations()
        .iter()
        .map(|seen| (seen.sensor, seen.time))
        .collect();
    assert_eq!(seen.len(), 5_000);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_drains_and_the_client_carries_on_elsewhere() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let address = broker.local_addr();
    let client = client(address, "a");
    let sender = client.clone();
    let publishing = tokio::spawn(async move {
        let mut receipts = Vec::new();
        for ts in 1..=2_000 {
            let payload = format!(r#"{{"ts":{},"value":1}}"#, 1_790_000_000 + ts);
            receipts.push(
                sender
                    .send("citywatch/readings/s", payload, false)
                    .await
                    .unwrap(),
            );
        }
        for receipt in receipts {
            receipt.await.unwrap();
        }
    });
    until(|| house.journal.last() > 100).await;
    within(broker.stop()).await;
    let stopped_at = house.journal.last();
    until(|| !client.is_connected()).await;
    assert_eq!(house.journal.last(), stopped_at);
    let again = house.broker(open_to_all(address)).await;
    within(publishing).await.unwrap();
    let mut times: Vec<_> = house
        .observations()
        .iter()
        .map(|observation| observation.time)
        .collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 2_000);
    within(again.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_will_is_a_reading_too() {
    let house = House::new();
    let broker = house.broker(any_port()).await;
    let will = LastWill::new(
        "citywatch/readings/s",
        r#"{"measurement":"online","value":0}"#,
        QoS::AtLeastOnce,
        false,
    );
    let (_client, mut events) = raw_client(broker.local_addr(), "a", Some(will));
    assert!(matches!(
        within(events.poll()).await.unwrap(),
        Event::Incoming(Packet::ConnAck(_))
    ));
    drop(events);
    until(|| {
        house
            .observations()
            .iter()
            .any(|seen| seen.values[0].measurement.as_str() == "online")
    })
    .await;
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let options = ClientOptions::default();
    let unreachable = MqttClient::connect("mqtt://127.0.0.1:1", "a", options).unwrap();
    assert!(matches!(
        within(unreachable.connected()).await,
        Err(ClientError::Unreachable { .. })
    ));
    let receipt = within(unreachable.send("t", "p", false)).await.unwrap();
    assert!(matches!(
        unreachable.send("a/+", "p", false).await,
        Err(ClientError::Topic { .. })
    ));
    assert!(matches!(
        unreachable.subscribe("a/#/b").await,
        Err(ClientError::Topic { .. })
    ));
    within(unreachable.close()).await;
    assert_eq!(
        within(receipt).await,
        Err(ClientError::Closed {
            client_id: "a".to_owned()
        })
    );
}
