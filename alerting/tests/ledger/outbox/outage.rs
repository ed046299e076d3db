//! An endpoint that is away, and what happens when it is back.

use super::*;

/// The second attempt would come after an hour.
fn patient() -> OutboxConfig {
    OutboxConfig {
        retry_base: Duration::from_secs(3_600),
        retry_cap: Duration::from_secs(3_600),
        soon: Duration::from_millis(20),
        ..OutboxConfig::default()
    }
}

/// An endpoint that fails until it is told to work.
async fn away() -> (Server, Arc<AtomicBool>) {
    let back = Arc::new(AtomicBool::new(false));
    let works = Arc::clone(&back);
    let reply = move |_: &Request| match works.load(Ordering::SeqCst) {
        true => ok(),
        false => busy(),
    };
    (Server::start(reply).await, back)
}

/// Whether `/metrics` says that so many deliveries fail.
fn failing(place: &Place, count: u32) -> Option<()> {
    let families = place.metrics().gather();
    let shown = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .unwrap();
    let line = format!("citywatch_deliveries_failing{{channel=\"webhook\"}} {count}\n");
    shown.contains(&line).then_some(())
}

#[tokio::test]
async fn what_one_message_finds_back_the_others_are_sent_to() {
    let (server, back) = away().await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, patient()).await;
    let early = warn(&ledger, 1).await;
    until("the failure to show", async || failing(&place, 1)).await;
    back.store(true, Ordering::SeqCst);
    let late = warn(&ledger, 2).await;
    for warning in [late, early] {
        settled(&ledger, warning.id, &[DeliveryState::Delivered]).await;
    }
    until("nothing to fail", async || failing(&place, 0)).await;
    outbox.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_can_be_tried_now() {
    let (server, back) = away().await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, patient()).await;
    let entry = warn(&ledger, 1).await;
    let delivery = settled(&ledger, entry.id, &[DeliveryState::Sending])
        .await
        .remove(0);
    back.store(true, Ordering::SeqCst);
    let answer = ledger.retry_delivery(delivery.id, &call()).await.unwrap();
    assert_eq!(answer.id, delivery.id, "no second delivery beside it");
    settled(&ledger, entry.id, &[DeliveryState::Delivered]).await;
    assert_eq!(all(&ledger, entry.id).await.len(), 1);
    outbox.stop().await;
}
