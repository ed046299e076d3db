//! What a gateway reports after it has accepted a message: late, twice, in any order, and also bad news.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::http::{Reply, Request, Server};
use crate::support::*;
use citywatch_alerting::cap::Language;
use citywatch_alerting::channel::{Channel, Receipts, Sms, SmsSettings};
use citywatch_alerting::ledger::{
    Delivery, DeliveryDetail, DeliveryFilter, DeliveryState, IssueWarning, Meaning, ReceiptReport,
};
use citywatch_alerting::links::ReceiptOf;
use citywatch_alerting::{Ledger, Outbox, OutboxConfig};
use citywatch_model::Level::Orange;

const PLANS: &str = "departments:\n  - { id: pumps, channels: [{ kind: sms, phone: '138 0000 0000' }] }\n\
    plans:\n  - { id: default, levels: { blue: { tell: [pumps] } } }\n";

fn taken() -> Reply {
    Reply::answer("202 Accepted", "", "0: Accepted for delivery")
}

struct Desk {
    _place: Place,
    ledger: Ledger,
    outbox: Outbox,
    delivery: i64,
}

/// A warning on its way to a gateway that answers so.
async fn warned(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Desk {
    let server = Server::start(reply).await;
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let sms = Sms::new(SmsSettings {
        url: server.url.parse().unwrap(),
        username: "cw".to_owned(),
        password: "s3cret".to_owned(),
        from: None,
        receipts: Receipts::All,
        language: Language::Chinese,
        max_parts: 4,
        timeout: Duration::from_secs(20),
        concurrent: 8,
        ca_file: None,
    });
    let channel: Arc<dyn Channel> = Arc::new(sms.unwrap());
    let config = OutboxConfig {
        retry_base: Duration::from_millis(2),
        ..OutboxConfig::default()
    };
    let outbox = Outbox::start(ledger.clone(), vec![channel], config)
        .await
        .unwrap();
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let warning = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let deliveries = ledger.warning(&warning.id.to_string()).await.unwrap();
    Desk {
        _place: place,
        ledger,
        outbox,
        delivery: deliveries.deliveries[0].id,
    }
}

impl Desk {
    async fn detail(&self) -> DeliveryDetail {
        self.ledger.delivery(self.delivery).await.unwrap()
    }

    async fn reaches(&self, state: DeliveryState) {
        until(state.word(), async || {
            (self.detail().await.delivery.state == state).then_some(())
        })
        .await;
    }

    async fn reports(&self, attempt: u32, status: i64) -> Delivery {
        let report = ReceiptReport {
            of: ReceiptOf {
                delivery: self.delivery,
                attempt,
            },
            status,
            detail: "words".to_owned(),
        };
        self.ledger.take_receipt(&report).await.unwrap()
    }

    async fn events(&self) -> Vec<String> {
        let events = self.ledger.events_after(0, 100).await.unwrap().into_iter();
        let of_deliveries = events.filter(|event| event.kind.starts_with("delivery"));
        of_deliveries.map(|event| event.kind).collect()
    }
}

#[tokio::test]
async fn an_older_report_that_comes_late_changes_nothing() {
    let desk = warned(|_| taken()).await;
    desk.reaches(DeliveryState::Accepted).await;
    assert_eq!(desk.reports(1, 1).await.state, DeliveryState::Delivered);
    for late in [8, 4, 16, 2, 1] {
        assert_eq!(desk.reports(1, late).await.state, DeliveryState::Delivered);
    }
    let detail = desk.detail().await;
    assert!(detail.delivery.delivered_at.is_some());
    let kept: Vec<(i64, Meaning, bool)> = detail
        .receipts
        .iter()
        .map(|receipt| (receipt.status, receipt.meaning, receipt.changed))
        .collect();
    let expected = [
        (1, Meaning::Delivered, true),
        (8, Meaning::Accepted, false),
        (4, Meaning::Accepted, false),
        (16, Meaning::Failed, false),
        (2, Meaning::Failed, false),
        (1, Meaning::Delivered, false),
    ];
    assert_eq!(kept, expected);
    assert_eq!(
        desk.events().await,
        ["delivery.accepted", "delivery.delivered"]
    );
    desk.outbox.stop().await;
}

#[tokio::test]
async fn a_report_of_failure_wants_a_person_and_can_be_retried_and_good_news_still_wins() {
    let desk = warned(|_| taken()).await;
    desk.reaches(DeliveryState::Accepted).await;
    assert_eq!(desk.reports(1, 8).await.state, DeliveryState::Accepted);
    let failed = desk.reports(1, 16).await;
    assert_eq!(failed.state, DeliveryState::Failed);
    assert_eq!(
        failed.detail,
        "the gateway reports 16 (refused by the carrier): words"
    );
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Failed),
        ..DeliveryFilter::default()
    };
    let listed = desk.ledger.deliveries(&filter).await.unwrap().items;
    assert_eq!(
        listed.iter().map(|row| row.id).collect::<Vec<_>>(),
        [desk.delivery]
    );
    assert_eq!(
        desk.events().await,
        ["delivery.accepted", "delivery.failed"]
    );
    let acts = desk.ledger.audit(1, None).await.unwrap();
    assert_eq!(
        (acts[0].act.as_str(), acts[0].delivery),
        ("fail", Some(desk.delivery))
    );
    let sms = desk.ledger.channel_states().await.unwrap().remove(2);
    assert_eq!((sms.kind, sms.configured, sms.failed), ("sms", true, 1));
    assert!(sms.last_success.is_some() && sms.last_failure.is_none());
    let again = desk
        .ledger
        .retry_delivery(desk.delivery, &call())
        .await
        .unwrap();
    assert_eq!(
        (again.retry_of, &again.message_id),
        (Some(desk.delivery), &failed.message_id)
    );
    assert_eq!(desk.reports(1, 1).await.state, DeliveryState::Delivered);
    desk.outbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_may_be_faster_than_the_gateways_own_answer() {
    for (status, meanwhile, at_last) in [
        (16, DeliveryState::Sending, DeliveryState::Failed),
        (1, DeliveryState::Delivered, DeliveryState::Delivered),
        (8, DeliveryState::Accepted, DeliveryState::Accepted),
    ] {
        let (called, calls) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let desk = warned(move |_| {
            called.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
            taken()
        })
        .await;
        tokio::task::spawn_blocking(move || calls.recv_timeout(Duration::from_secs(10)))
            .await
            .unwrap()
            .unwrap();
        desk.reports(1, status).await;
        assert_eq!(
            desk.detail().await.delivery.state,
            meanwhile,
            "status {status}"
        );
        go_on.send(()).unwrap();
        until("the attempt", async || {
            (desk.detail().await.delivery.attempts == 1).then_some(())
        })
        .await;
        desk.reaches(at_last).await;
        desk.outbox.stop().await;
    }
}

#[tokio::test]
async fn bad_news_of_an_earlier_attempt_does_not_end_a_later_one() {
    let count = AtomicUsize::new(0);
    let desk = warned(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::answer("503 Service Unavailable", "", "Temporary failure"),
        _ => taken(),
    })
    .await;
    desk.reaches(DeliveryState::Accepted).await;
    assert_eq!(desk.reports(1, 16).await.state, DeliveryState::Accepted);
    assert_eq!(desk.reports(2, 0x22).await.state, DeliveryState::Failed);
    desk.outbox.stop().await;
}

#[tokio::test]
async fn a_gateway_that_repeats_itself_fills_no_disk() {
    let desk = warned(|_| taken()).await;
    desk.reaches(DeliveryState::Accepted).await;
    for status in 0..50 {
        // neither good nor bad news: numbers that mean nothing, and what is known already
        desk.reports(1, if status % 2 == 0 { 8 } else { 3 }).await;
    }
    assert_eq!(desk.detail().await.receipts.len(), 32);
    desk.reports(1, 1).await;
    let receipts = desk.detail().await.receipts;
    assert_eq!(
        (receipts.len(), receipts[32].status, receipts[32].changed),
        (33, 1, true)
    );
    desk.outbox.stop().await;
}

#[tokio::test]
async fn nobody_reports_of_a_delivery_that_is_not_there() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let report = ReceiptReport {
        of: ReceiptOf {
            delivery: 77,
            attempt: 1,
        },
        status: 1,
        detail: String::new(),
    };
    assert!(ledger.take_receipt(&report).await.unwrap_err().not_found());
}
