//! Who may log in at the embedded broker, publish and subscribe there, asked with real clients over loopback.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use citywatch_ingest::broker::{Access, BrokerConfig, BrokerError, EmbeddedBroker, User};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Packet, QoS, SubscribeReasonCode,
};
use support::{House, within};

const READING: &str = r#"{"value":1}"#;

struct District {
    house: House,
    broker: EmbeddedBroker,
    metrics: prometheus::Registry,
    clients: AtomicUsize,
}

impl District {
    /// The service itself, a device, a listener, and clients without a name.
    async fn new(allow_anonymous: bool) -> District {
        let house = House::new();
        let metrics = prometheus::Registry::new();
        let accounts = [
            ("citywatch", Access::ALL),
            ("gas", Access::DEVICE),
            ("duty", Access::LISTENER),
        ];
        let users = accounts.map(|(name, access)| User::with_password(name, "right", access));
        let config = BrokerConfig {
            users: users.into(),
            allow_anonymous,
            ..BrokerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let broker = house.try_broker(config, &metrics).await.unwrap();
        District {
            house,
            broker,
            metrics,
            clients: AtomicUsize::new(0),
        }
    }

    fn options(&self, client_id: &str, login: Option<&str>) -> MqttOptions {
        let address = self.broker.local_addr();
        let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
        if let Some((name, password)) = login.map(|login| login.split_once(':').unwrap()) {
            options.set_credentials(name, password);
        }
        options
    }

    /// A client under an id of its own, logged in.
    async fn client(&self, login: Option<&str>) -> (AsyncClient, EventLoop) {
        let id = format!("client-{}", self.clients.fetch_add(1, Ordering::Relaxed));
        let (client, mut events) = AsyncClient::new(self.options(&id, login), 10);
        assert_eq!(connect(&mut events).await, ConnectReturnCode::Success);
        (client, events)
    }

    fn refused(&self, act: &str) -> f64 {
        let families = self.metrics.gather();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        let labelled = metrics.filter(|metric| metric.get_label()[0].value() == act);
        labelled.map(|metric| metric.get_counter().value()).sum()
    }
}

/// How the broker answers the login.
async fn connect(events: &mut EventLoop) -> ConnectReturnCode {
    match within(events.poll()).await {
        Ok(Event::Incoming(Packet::ConnAck(ack))) => ack.code,
        Err(ConnectionError::ConnectionRefused(code)) => code,
        other => panic!("{other:?}"),
    }
}

async fn subscribe(
    (client, events): &mut (AsyncClient, EventLoop),
    filter: &str,
) -> SubscribeReasonCode {
    client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    within(async {
        loop {
            if let Event::Incoming(Packet::SubAck(ack)) = events.poll().await.unwrap() {
                return ack.return_codes[0];
            }
        }
    })
    .await
}

/// Whether a publish is acknowledged; if not, the client is disconnected.
async fn publish((client, events): &mut (AsyncClient, EventLoop), topic: &str) -> bool {
    let sent = client.publish(topic, QoS::AtLeastOnce, false, READING);
    sent.await.unwrap();
    within(async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_users_with_the_right_password_come_in() {
    let house = House::new();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let metrics = prometheus::Registry::new();
    let nobody = house.try_broker(BrokerConfig::new(listen), &metrics).await;
    assert!(matches!(nobody, Err(BrokerError::NobodyAllowed)));
    let closed = District::new(false).await;
    let open = District::new(true).await;
    use ConnectReturnCode::{BadUserNamePassword, NotAuthorized, Success};
    for (district, login, expected) in [
        (&closed, Some("gas:right"), Success),
        (&closed, Some("gas:wrong"), BadUserNamePassword),
        (&closed, Some("water:right"), BadUserNamePassword),
        (&closed, None, NotAuthorized),
        (&open, None, Success),
        (&open, Some("gas:wrong"), BadUserNamePassword),
    ] {
        let (_client, mut events) = AsyncClient::new(district.options("client", login), 10);
        assert_eq!(connect(&mut events).await, expected, "{login:?}");
    }
    assert_eq!((closed.refused("login"), open.refused("login")), (3.0, 1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listeners_subscribe_and_only_to_warnings() {
    let district = District::new(true).await;
    let heard = |granted| match granted {
        true => SubscribeReasonCode::Success(QoS::AtLeastOnce),
        false => SubscribeReasonCode::Failure,
    };
    for (login, filter, granted) in [
        (Some("duty:right"), "citywatch/cap/#", true),
        (Some("duty:right"), "citywatch/cap/+/red", true),
        (Some("duty:right"), "citywatch/cap", true),
        (Some("citywatch:right"), "citywatch/cap/#", true),
        (Some("duty:right"), "#", false),
        (Some("duty:right"), "citywatch/#", false),
        (Some("duty:right"), "+/cap/#", false),
        (Some("duty:right"), "citywatch/capital", false),
        (Some("duty:right"), "citywatch/readings/#", false),
        (Some("duty:right"), "$share/a/citywatch/cap/#", false),
        (Some("gas:right"), "citywatch/cap/#", false),
        (Some("gas:right"), "citywatch/readings/gas-1", false),
        (None, "citywatch/cap/#", false),
    ] {
        let mut client = district.client(login).await;
        let answer = subscribe(&mut client, filter).await;
        assert_eq!(answer, heard(granted), "{login:?} {filter}");
    }
    assert_eq!(district.refused("subscribe"), 9.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_subscription_hears_nothing_and_a_granted_one_does() {
    let district = District::new(false).await;
    let mut duty = district.client(Some("duty:right")).await;
    assert_eq!(
        subscribe(&mut duty, "#").await,
        SubscribeReasonCode::Failure
    );
    subscribe(&mut duty, "citywatch/cap/#").await;
    let mut own = district.client(Some("citywatch:right")).await;
    assert!(publish(&mut own, "citywatch/readings/g-1").await);
    assert!(publish(&mut own, "citywatch/cap/gas/red").await);
    let first = within(async {
        loop {
            if let Event::Incoming(Packet::Publish(heard)) = duty.1.poll().await.unwrap() {
                return heard.topic;
            }
        }
    });
    assert_eq!(first.await, "citywatch/cap/gas/red");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_publish_nothing_and_nobody_else_publishes_warnings() {
    let district = District::new(true).await;
    for (login, topic, taken) in [
        (Some("gas:right"), "citywatch/readings/g-1", true),
        (None, "citywatch/readings/g-2", true),
        (Some("duty:right"), "citywatch/readings/g-3", false),
        (Some("duty:right"), "citywatch/cap/gas/red", false),
        (Some("gas:right"), "citywatch/cap/gas/red", false),
        (None, "citywatch/cap/gas/red", false),
        (Some("citywatch:right"), "citywatch/cap/gas/red", true),
    ] {
        let mut client = district.client(login).await;
        let answer = publish(&mut client, topic).await;
        assert_eq!(answer, taken, "{login:?} {topic}");
    }
    assert_eq!(district.refused("publish"), 4.0);
    assert_eq!(district.house.observations().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_will_is_judged_like_a_publish() {
    let district = District::new(true).await;
    for (login, topic, expected) in [
        (
            None,
            "citywatch/cap/gas/red",
            ConnectReturnCode::NotAuthorized,
        ),
        (
            Some("gas:right"),
            "citywatch/cap/gas",
            ConnectReturnCode::NotAuthorized,
        ),
        (
            Some("duty:right"),
            "citywatch/readings/g",
            ConnectReturnCode::NotAuthorized,
        ),
        (
            Some("gas:right"),
            "citywatch/readings/g",
            ConnectReturnCode::Success,
        ),
    ] {
        let mut options = district.options("client", login);
        options.set_last_will(LastWill::new(topic, READING, QoS::AtLeastOnce, false));
        let (_client, mut events) = AsyncClient::new(options, 10);
        assert_eq!(connect(&mut events).await, expected, "{login:?} {topic}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_taken_over_by_another_account() {
    let district = District::new(true).await;
    let mut kept = district.options("siren", Some("duty:right"));
    kept.set_clean_session(false);
    let (client, events) = AsyncClient::new(kept.clone(), 10);
    let mut duty = (client, events);
    subscribe(&mut duty, "citywatch/cap/#").await;
    for (login, expected) in [
        (Some("gas:right"), ConnectReturnCode::NotAuthorized),
        (None, ConnectReturnCode::NotAuthorized),
        (Some("duty:right"), ConnectReturnCode::Success),
    ] {
        let mut options = district.options("siren", login);
        options.set_clean_session(false);
        let (_client, mut events) = AsyncClient::new(options, 10);
        assert_eq!(connect(&mut events).await, expected, "{login:?}");
    }
}
