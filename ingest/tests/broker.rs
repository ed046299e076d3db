//! The embedded broker with real clients over loopback: what is acknowledged is journalled, what cannot be
//! journalled is not acknowledged.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;

use citywatch_ingest::Reason;
use citywatch_ingest::broker::{Access, BrokerConfig, User};
use citywatch_ingest::client::{ClientError, ClientOptions, MqttClient};
use rumqttc::{Event, LastWill, Packet, QoS};
use support::{House, any_port, client, open_to_all, raw_client, until, within};

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
    let users = vec![User::with_password("citywatch", "secret", Access::ALL)];
    let broker = house
        .broker(BrokerConfig {
            users,
            ..any_port()
        })
        .await;
    let url = format!("mqtt://citywatch:secret@{}", broker.local_addr());
    let client = MqttClient::connect(&url, "a", ClientOptions::default()).unwrap();
    let mut received = within(client.subscribe("citywatch/cap/#")).await.unwrap();
    let foreign = client.publish("zigbee2mqtt/kitchen", "payload", false);
    within(foreign).await.unwrap();
    for topic in ["citywatch/cap/1", "citywatch/cap"] {
        within(client.publish(topic, "payload", false))
            .await
            .unwrap();
        assert_eq!(within(received.recv()).await.unwrap().topic, topic);
    }
    assert_eq!(house.rejected(), [Reason::UnknownTopic]);
    assert!(house.observations().is_empty());
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

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let metrics = prometheus::Registry::new();
    let started = house.try_broker(open_to_all(listen), &metrics).await;
    let error = started.err().unwrap();
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
async fn a_packet_that_is_not_read_is_counted_and_kept() {
    let house = House::new();
    let broker = house
        .broker(BrokerConfig {
            max_packet: 2_000,
            ..any_port()
        })
        .await;
    let (client, mut events) = raw_client(broker.local_addr(), "large", None);
    let payload = vec![b' '; 5_000];
    let topic = "citywatch/readings";
    client
        .publish(topic, QoS::AtLeastOnce, false, payload)
        .await
        .unwrap();
    within(async { while events.poll().await.is_ok() {} }).await;
    until(|| house.rejected() == [Reason::TooLarge]).await;
    let kept = house.intake.rejected(9).unwrap().remove(0);
    assert_eq!(kept.source, "large");
    let detail = &kept.rejections[0].detail;
    assert!(detail.contains("max_packet"), "{detail}");
    assert!(house.observations().is_empty());
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
