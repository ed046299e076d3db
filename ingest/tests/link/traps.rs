//! What goes wrong between a link and its broker, and what must come of it.

use std::time::Instant;

use citywatch_ingest::Reason;
use citywatch_ingest::link::{LinkConfig, LinkPhase, LinkStatus, Links};
use citywatch_model::{Body, LinkState};

use crate::scripted::{ScriptedBroker, Sent, publish};
use crate::support::{House, until, within};

fn reading(number: usize) -> String {
    let ts = 1_790_000_000 + number;
    format!(r#"{{"sensor":"s-1","ts":{ts},"measurement":"level","value":{number}}}"#)
}

/// The values that the journal holds, in its order.
fn values(house: &House) -> Vec<usize> {
    let observations = house.observations();
    observations
        .iter()
        .map(|observation| observation.values[0].value as usize)
        .collect()
}

fn status(links: &Links) -> LinkStatus {
    links.board().statuses().remove(0)
}

fn start(house: &House, config: LinkConfig) -> Links {
    house.links(&[config]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_acknowledged_in_order_once_they_are_on_disk() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    let all: Vec<u8> = (1..=3_000)
        .flat_map(|id| publish(id, &reading(id.into()), false))
        .collect();
    peer.write(&all).await;
    for id in 1..=3_000 {
        assert_eq!(peer.acknowledgement().await, Some(id));
        if id % 500 == 1 {
            let held = values(&house);
            assert!(
                held.len() >= usize::from(id),
                "{id} is acknowledged, {} are on disk",
                held.len()
            );
        }
    }
    assert_eq!(values(&house), (1..=3_000).collect::<Vec<_>>());
    let now = status(&links);
    assert_eq!(
        (now.phase, now.received, now.acknowledged),
        (LinkPhase::Up, 3_000, 3_000)
    );
    links.stop().await;
    assert_eq!(peer.read().await, Some(Sent::Goodbye));
}

/// Real brokers send more than they should after a reconnection.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_waits_for_no_acknowledgement_is_kept_up_with() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    for id in 1..=12_000 {
        peer.publish(id, &reading(id.into()), false).await;
    }
    for id in 1..=12_000 {
        assert_eq!(peer.acknowledgement().await, Some(id));
    }
    assert_eq!(status(&links).connections, 1);
    assert_eq!(values(&house).len(), 12_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_on_another_connection() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    let all: Vec<u8> = (1..=200)
        .flat_map(|id| publish(id, &reading(id.into()), false))
        .collect();
    peer.write(&all).await;
    assert_eq!(peer.acknowledgement().await, Some(1));
    // 199 acknowledgements are on their way or not yet made when the connection goes
    drop(peer);
    let mut peer = broker.welcome(true, false).await;
    // under an id of the old connection something else comes now: one acknowledgement for it, and no other
    peer.publish(150, &reading(1_000), false).await;
    assert_eq!(peer.acknowledgement().await, Some(150));
    for id in 2..=200 {
        peer.publish(id, &reading(id.into()), true).await;
    }
    for id in 2..=200 {
        assert_eq!(peer.acknowledgement().await, Some(id));
    }
    links.stop().await;
    assert_eq!(
        peer.read().await,
        Some(Sent::Goodbye),
        "no acknowledgement is left over"
    );
    house.follow().await;
    let count = house.history.count();
    assert_eq!((count.readings, count.conflicts), (201, 0));
    assert!(count.duplicates > 0, "what came again is kept once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_session_is_subscribed_to_again_and_told() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    drop(broker.welcome(false, true).await);
    drop(broker.welcome(true, false).await);
    assert_eq!(status(&links).sessions_lost, 0);
    let mut peer = broker.welcome(false, true).await;
    peer.publish(1, &reading(1), false).await;
    assert_eq!(peer.acknowledgement().await, Some(1));
    let now = status(&links);
    assert_eq!(now.sessions_lost, 1);
    assert!(
        now.last_error
            .unwrap()
            .contains("had forgotten our session")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_may_have_changed_before_the_first_connection() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let _links = start(&house, broker.config());
    // the session is there from an earlier run, whose topics nobody knows
    broker.welcome(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_gets_through_and_a_larger_one_is_rejected_once() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    let blanks = |bytes: usize| " ".repeat(bytes);
    peer.publish(1, &format!("{}{}", reading(1), blanks(200 * 1024)), false)
        .await;
    peer.publish(2, &format!("{}{}", reading(2), blanks(300 * 1024)), false)
        .await;
    peer.publish(3, "no JSON", false).await;
    peer.publish(4, &reading(4), false).await;
    for id in 1..=4 {
        assert_eq!(peer.acknowledgement().await, Some(id));
    }
    assert_eq!(values(&house), [1, 4]);
    assert_eq!(house.rejected(), [Reason::MalformedJson, Reason::TooLarge]);
    assert_eq!(
        (status(&links).rejected, status(&links).connections),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_packet_is_no_message() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let _links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    let packet = publish(2, &reading(2), false);
    peer.publish(1, &reading(1), false).await;
    peer.write(&packet[..packet.len() / 2]).await;
    assert_eq!(peer.acknowledgement().await, Some(1));
    drop(peer);
    let mut peer = broker.welcome(true, false).await;
    peer.publish(2, &reading(2), true).await;
    assert_eq!(peer.acknowledgement().await, Some(2));
    assert_eq!(values(&house), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_and_not_tried_often() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut tries = Vec::new();
    for _ in 0..2 {
        let mut peer = broker.accept().await;
        peer.read().await.unwrap();
        peer.answer_connect(false, 5).await;
        tries.push(Instant::now());
    }
    // at least half of the pause for those who were refused, many times that for those who were not
    assert!(
        tries[1] - tries[0] >= std::time::Duration::from_millis(290),
        "{tries:?}"
    );
    let now = status(&links);
    let error = now.last_error.unwrap();
    assert_eq!(now.phase, LinkPhase::Down);
    assert!(
        error.contains("not authorised") && error.contains("citywatch-test"),
        "{error}"
    );
    broker.welcome(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_told() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, false).await;
    let id = peer.read_subscribe().await;
    peer.write(&[0x90, 3, (id >> 8) as u8, id as u8, 0x80])
        .await;
    until(|| status(&links).refused_topics == ["citywatch/readings/#"]).await;
    assert!(
        status(&links)
            .last_error
            .unwrap()
            .contains("check its rights")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_refuses_is_not_acknowledged() {
    let (house, broker) = (House::full_disk(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    peer.publish(1, &reading(1), false).await;
    assert_eq!(
        peer.read().await,
        None,
        "the link hangs up instead of acknowledging"
    );
    let mut peer = broker.welcome(true, false).await;
    peer.publish(1, &reading(1), true).await;
    assert_eq!(peer.read().await, None);
    assert!(values(&house).is_empty());
    until(|| {
        status(&links)
            .last_error
            .is_some_and(|error| error.contains("bytes are free"))
    })
    .await;
    assert_eq!(status(&links).acknowledged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_interruption_is_journalled_and_a_short_one_is_not() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    // once a message is acknowledged the subscription is settled
    for (id, session_present) in [(9, false), (1, true)] {
        let mut peer = broker.welcome(session_present, !session_present).await;
        peer.publish(id, &reading(id.into()), false).await;
        assert_eq!(peer.acknowledgement().await, Some(id));
    }
    assert!(house.link_states().is_empty());
    let lost = Instant::now();
    while house.link_states().is_empty() {
        drop(broker.accept().await);
        assert!(lost.elapsed() < std::time::Duration::from_secs(20));
    }
    let mut peer = broker.accept().await;
    peer.read().await.unwrap();
    peer.answer_connect(true, 0).await;
    peer.publish(2, &reading(2), false).await;
    assert_eq!(peer.acknowledgement().await, Some(2));
    assert_eq!(house.link_states(), [LinkState::Down, LinkState::Up]);
    // the reconnection stands before what came by it
    let bodies = house.bodies();
    let up = bodies
        .iter()
        .rposition(|body| matches!(body, Body::Link { .. }))
        .unwrap();
    assert!(matches!(bodies[up + 1], Body::Observation(_)));
    drop(links);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_a_stop_is_acknowledged() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    let all: Vec<u8> = (1..=500)
        .flat_map(|id| publish(id, &reading(id.into()), false))
        .collect();
    peer.write(&all).await;
    assert_eq!(peer.acknowledgement().await, Some(1));
    let stop = tokio::spawn(links.stop());
    let mut last = 1;
    loop {
        match peer.read().await {
            Some(Sent::Acknowledgement(id)) => {
                assert_eq!(id, last + 1);
                last = id;
            }
            Some(Sent::Goodbye) => break,
            other => panic!("{other:?}"),
        }
    }
    within(stop).await.unwrap();
    assert_eq!(values(&house), (1..=usize::from(last)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_message_without_time_is_no_reading() {
    let (house, broker) = (House::new(), ScriptedBroker::new().await);
    let _links = start(&house, broker.config());
    let mut peer = broker.welcome(false, true).await;
    for (id, payload) in [
        (1, r#"{"sensor":"s-1","value":99}"#.to_owned()),
        (2, reading(2)),
    ] {
        let mut packet = publish(id, &payload, false);
        packet[0] |= 1;
        peer.write(&packet).await;
        assert_eq!(peer.acknowledgement().await, Some(id));
    }
    assert_eq!(values(&house), [2]);
    assert_eq!(house.rejected(), [Reason::RetainedWithoutTime]);
}
