//! The outbox against real endpoints: at least once, in order, never after a withdrawal, and across a crash.

mod lanes;
mod outage;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::http::{Reply, Request, Server};
use crate::support::*;
use citywatch_alerting::channel::{Channel, Timeouts, Webhook};
use citywatch_alerting::ledger::{
    Delivery, DeliveryDetail, DeliveryFilter, DeliveryState, IssueWarning, WarningEntry,
};
use citywatch_alerting::warning::Status;
use citywatch_alerting::{Ledger, Outbox, OutboxConfig};
use citywatch_model::Level::{Orange, Red};

/// Departments `d0`, `d1`, … with one webhook each.
fn plans(urls: &[String]) -> String {
    let departments: String = urls
        .iter()
        .enumerate()
        .map(|(at, url)| {
            format!("  - {{ id: d{at}, channels: [{{ kind: webhook, url: '{url}/d{at}' }}] }}\n")
        })
        .collect();
    let all: Vec<String> = (0..urls.len()).map(|at| format!("d{at}")).collect();
    format!(
        "departments:\n{departments}plans:\n  - {{ id: default, levels: {{ blue: {{ tell: [{}] }} }} }}\n",
        all.join(", ")
    )
}

fn fast() -> OutboxConfig {
    OutboxConfig {
        retry_base: Duration::from_millis(2),
        retry_cap: Duration::from_millis(20),
        ..OutboxConfig::default()
    }
}

async fn start(ledger: &Ledger, config: OutboxConfig) -> Outbox {
    let webhook: Arc<dyn Channel> = Arc::new(Webhook::new(Timeouts::default()).unwrap());
    Outbox::start(ledger.clone(), vec![webhook], config)
        .await
        .unwrap()
}

async fn warn(ledger: &Ledger, position: u64) -> WarningEntry {
    let alert = apply(
        ledger,
        vec![raise(position, &format!("u-{position}"), Orange)],
    )
    .await
    .alerts[0]
        .id;
    ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap()
}

fn withdrawn() -> IssueWarning {
    IssueWarning {
        note: Some("false alarm".to_owned()),
        ..IssueWarning::default()
    }
}

async fn all(ledger: &Ledger, warning: i64) -> Vec<Delivery> {
    ledger
        .warning(&warning.to_string())
        .await
        .unwrap()
        .deliveries
}

/// Waits until every delivery of the warning is in one of `states`.
async fn settled(ledger: &Ledger, warning: i64, states: &[DeliveryState]) -> Vec<Delivery> {
    until("deliveries settled", async || {
        let rows = all(ledger, warning).await;
        rows.iter()
            .all(|row| states.contains(&row.state))
            .then_some(rows)
    })
    .await
}

async fn detail(ledger: &Ledger, id: i64) -> DeliveryDetail {
    ledger.delivery(id).await.unwrap()
}

fn kind_of(request: &Request) -> String {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    body["type"].as_str().unwrap().to_owned()
}

fn ok() -> Reply {
    Reply::answer("200 OK", "", "")
}

fn busy() -> Reply {
    Reply::answer("503 Service Unavailable", "", "busy")
}

#[tokio::test]
async fn a_click_reaches_the_department() {
    let mut server = Server::start(|_| ok()).await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let entry = warn(&ledger, 1).await;
    let request = server.next().await;
    assert_eq!(kind_of(&request), "warning.issued");
    let delivery = settled(&ledger, entry.id, &[DeliveryState::Delivered])
        .await
        .remove(0);
    assert_eq!(request.header("webhook-id"), delivery.message_id);
    assert!(delivery.accepted_at.is_some() && delivery.delivered_at.is_some());
    let log = detail(&ledger, delivery.id).await.log;
    assert_eq!(
        (log.len(), log[0].outcome.as_str(), log[0].status),
        (1, "delivered", Some(200))
    );
    let events = ledger.events_after(0, 100).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["alert.raised", "warning.issued", "delivery.delivered"]
    );
    outbox.stop().await;
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_with_the_same_id() {
    let count = AtomicUsize::new(0);
    let mut server = Server::start(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < 3 {
            busy()
        } else {
            ok()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let entry = warn(&ledger, 1).await;
    let delivery = settled(&ledger, entry.id, &[DeliveryState::Delivered])
        .await
        .remove(0);
    assert_eq!(delivery.attempts, 4);
    for _ in 0..4 {
        let request = server.next().await;
        assert_eq!(request.header("webhook-id"), delivery.message_id);
        assert_eq!(request.connection, 0, "attempts share a connection");
    }
    let outcomes: Vec<String> = detail(&ledger, delivery.id)
        .await
        .log
        .into_iter()
        .map(|row| row.outcome)
        .collect();
    assert_eq!(outcomes, ["retry", "retry", "retry", "delivered"]);
    outbox.stop().await;
}

#[tokio::test]
async fn what_is_given_up_is_listed_and_can_be_tried_again() {
    let healed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&healed);
    let refusing = Server::start(move |_| {
        if seen.load(Ordering::SeqCst) {
            ok()
        } else {
            Reply::answer("410 Gone", "", "moved")
        }
    })
    .await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let place = Place::new();
    let ledger = place
        .open(&plans(&[refusing.url.clone(), format!("http://{closed}")]))
        .await;
    let outbox = start(
        &ledger,
        OutboxConfig {
            max_attempts: 3,
            ..fast()
        },
    )
    .await;
    let entry = warn(&ledger, 1).await;
    let dead = settled(&ledger, entry.id, &[DeliveryState::Dead]).await;
    assert_eq!(
        [dead[0].attempts, dead[1].attempts],
        [1, 3],
        "410 at once, no answer after three"
    );
    assert_eq!(dead[1].detail, "given up after 3 attempts");
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        ..DeliveryFilter::default()
    };
    assert_eq!(ledger.deliveries(&filter).await.unwrap().items.len(), 2);
    let given_up = ledger.alert(entry.alert).await.unwrap().acts;
    assert_eq!(
        given_up
            .iter()
            .filter(|act| act.act == "give up" && act.actor == "citywatch")
            .count(),
        2
    );
    healed.store(true, Ordering::SeqCst);
    let again = ledger.retry_delivery(dead[0].id, &call()).await.unwrap();
    assert_eq!(
        (&again.message_id, again.retry_of),
        (&dead[0].message_id, Some(dead[0].id))
    );
    until("the retry arrived", async || {
        (detail(&ledger, again.id).await.delivery.state == DeliveryState::Delivered).then_some(())
    })
    .await;
    let twice = ledger
        .retry_delivery(dead[0].id, &call())
        .await
        .unwrap_err();
    insta::assert_snapshot!(twice, @"delivery 1 was tried again as delivery 3: look there");
    place.pass(100_000);
    let late = ledger
        .retry_delivery(dead[1].id, &call())
        .await
        .unwrap_err();
    insta::assert_snapshot!(late, @"delivery 2 belongs to a warning that lapsed at 2026-11-23T00:00:00Z: issue a new one");
    outbox.stop().await;
}

#[tokio::test]
async fn a_lapsed_warning_is_given_up() {
    let server = Server::start(|_| busy()).await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(
        &ledger,
        OutboxConfig {
            max_attempts: u32::MAX,
            ..fast()
        },
    )
    .await;
    let entry = warn(&ledger, 1).await;
    until("an attempt", async || {
        (all(&ledger, entry.id).await[0].attempts > 1).then_some(())
    })
    .await;
    place.pass(86_400);
    let dead = settled(&ledger, entry.id, &[DeliveryState::Dead]).await;
    assert!(dead[0].detail.contains("lapsed"), "{}", dead[0].detail);
    outbox.stop().await;
}

#[tokio::test]
async fn a_warning_that_lapses_while_it_waits_for_its_turn_is_not_sent() {
    let mut server = Server::start(|_| Reply::Stall(Vec::new())).await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let config = OutboxConfig {
        per_host: 1,
        attempt_timeout: Duration::from_millis(300),
        ..fast()
    };
    let outbox = start(&ledger, config).await;
    warn(&ledger, 1).await;
    server.next().await;
    let alert = apply(&ledger, vec![raise(2, "u-2", Orange)]).await.alerts[0].id;
    let brief = IssueWarning {
        expires: Some(citywatch_model::Duration::from_secs(60)),
        ..IssueWarning::default()
    };
    let waiting = ledger.issue_warning(alert, &brief, &call()).await.unwrap();
    for _ in 0..20 {
        // until its lane stands before the host
        tokio::task::yield_now().await;
    }
    place.pass(60);
    let dead = settled(&ledger, waiting.id, &[DeliveryState::Dead]).await;
    assert!(dead[0].detail.contains("lapsed"), "{}", dead[0].detail);
    assert_eq!(dead[0].attempts, 0);
    outbox.stop().await;
}

#[tokio::test]
async fn who_is_told_to_come_at_once_waits_all_the_same() {
    let server =
        Server::start(|_| Reply::answer("503 Service Unavailable", "retry-after: 0\r\n", "busy"))
            .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let own = Duration::from_millis(200);
    let config = OutboxConfig {
        retry_base: own,
        retry_cap: own,
        ..OutboxConfig::default()
    };
    let outbox = start(&ledger, config).await;
    let began = std::time::Instant::now();
    let entry = warn(&ledger, 1).await;
    until("three attempts", async || {
        (all(&ledger, entry.id).await[0].attempts >= 3).then_some(())
    })
    .await;
    assert!(began.elapsed() >= own, "half of each of two waits is fixed");
    outbox.stop().await;
}

#[tokio::test]
async fn of_many_attempts_the_first_and_the_newest_are_kept() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < 149 {
            busy()
        } else {
            ok()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let soon = Duration::from_millis(1);
    let config = OutboxConfig {
        retry_base: soon,
        retry_cap: soon,
        ..OutboxConfig::default()
    };
    let outbox = start(&ledger, config).await;
    let entry = warn(&ledger, 1).await;
    let delivered = settled(&ledger, entry.id, &[DeliveryState::Delivered]).await;
    assert_eq!(delivered[0].attempts, 150);
    let log = detail(&ledger, delivered[0].id).await.log;
    let numbers: Vec<i64> = log.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=20).chain(51..=150).collect::<Vec<i64>>());
    outbox.stop().await;
}

#[tokio::test]
async fn who_has_another_name_at_the_same_address_is_still_reached() {
    let back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&back);
    let server = Server::start(move |_| {
        if seen.load(Ordering::SeqCst) {
            ok()
        } else {
            busy()
        }
    })
    .await;
    let of = |department: &str, contact: &str| {
        format!(
            "departments:\n  - {{ id: {department}, contacts: [{{ name: {contact}, channels: [{{ kind: webhook, url: '{}' }}] }}] }}\n\
             plans:\n  - {{ id: default, levels: {{ blue: {{ tell: [{department}] }} }} }}\n",
            server.url
        )
    };
    let place = Place::new();
    let ledger = place.open(&of("pumps", "Zhang")).await;
    let outbox = start(&ledger, fast()).await;
    let entry = warn(&ledger, 1).await;
    for (department, contact) in [("pumps", "Li"), ("water", "Li")] {
        let plans = of(department, contact);
        let directory = citywatch_alerting::directory::read_directory("plans.yaml", &plans);
        ledger.set_directory(Arc::new(directory.unwrap()));
        let before = all(&ledger, entry.id).await[0].attempts;
        until("it is still tried", async || {
            let now = all(&ledger, entry.id).await.remove(0);
            assert_eq!(now.state, DeliveryState::Sending, "{}", now.detail);
            (now.attempts > before + 1).then_some(())
        })
        .await;
    }
    back.store(true, Ordering::SeqCst);
    settled(&ledger, entry.id, &[DeliveryState::Delivered]).await;
    outbox.stop().await;
}

#[tokio::test]
async fn a_withdrawal_reaches_exactly_those_who_may_have_it() {
    let good = Server::start(|_| ok()).await;
    let mut failing = Server::start(|request| {
        if kind_of(request) == "warning.issued" {
            busy()
        } else {
            ok()
        }
    })
    .await;
    let mut stalled = Server::start(|_| Reply::Stall(Vec::new())).await;
    let urls = [&good, &failing, &stalled, &stalled].map(|server| server.url.clone());
    let place = Place::new();
    let ledger = place.open(&plans(&urls)).await;
    let config = OutboxConfig {
        per_host: 1,
        attempt_timeout: Duration::from_millis(300),
        ..fast()
    };
    let outbox = start(
        &ledger,
        OutboxConfig {
            max_attempts: u32::MAX,
            ..config
        },
    )
    .await;
    let first = warn(&ledger, 1).await;
    failing.next().await;
    let held = stalled.next().await.line;
    until("d0 has it", async || {
        (all(&ledger, first.id).await[0].state == DeliveryState::Delivered).then_some(())
    })
    .await;
    let last = ledger
        .withdraw_warning(first.id, &withdrawn(), &call())
        .await
        .unwrap();
    // one of d2 and d3 had its attempt, the other still waited for the host
    let third = if held.contains("/d2") { "d2" } else { "d3" };
    let told: BTreeSet<String> = all(&ledger, last.id)
        .await
        .into_iter()
        .map(|row| row.recipient.department)
        .collect();
    assert_eq!(told, ["d0", "d1", third].map(str::to_owned).into());
    // what the failing endpoint sees last is the withdrawal
    until("d1 hears of it", async || {
        (all(&ledger, last.id).await[1].state == DeliveryState::Delivered).then_some(())
    })
    .await;
    let mut kinds = Vec::new();
    while failing.waiting() > 0 {
        kinds.push(kind_of(&failing.next().await));
    }
    assert_eq!(
        kinds.iter().position(|kind| kind == "warning.withdrawn"),
        Some(kinds.len() - 1),
        "{kinds:?}"
    );
    let states: Vec<DeliveryState> = all(&ledger, first.id)
        .await
        .into_iter()
        .map(|row| row.state)
        .collect();
    assert_eq!(states[1], DeliveryState::Cancelled);
    outbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawals_race_with_attempts_and_lose_nobody() {
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        let path = request
            .line
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let identifier = body["data"]["identifier"].as_str().unwrap_or_default();
        log.lock().unwrap().insert(format!("{identifier} {path}"));
        ok()
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(&vec![server.url.clone(); 12])).await;
    let outbox = start(
        &ledger,
        OutboxConfig {
            per_host: 3,
            ..fast()
        },
    )
    .await;
    let ended = [DeliveryState::Delivered, DeliveryState::Cancelled];
    for round in 1..=30 {
        let first = warn(&ledger, round).await;
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        let last = ledger
            .withdraw_warning(first.id, &withdrawn(), &call())
            .await
            .unwrap();
        settled(&ledger, last.id, &[DeliveryState::Delivered]).await;
        let rows = settled(&ledger, first.id, &ended).await;
        let told: BTreeSet<String> = all(&ledger, last.id)
            .await
            .into_iter()
            .map(|row| row.recipient.department)
            .collect();
        let reached: BTreeSet<String> = {
            let seen = seen.lock().unwrap();
            let prefix = format!("{} ", first.warning.identifier);
            seen.iter()
                .filter_map(|line| line.strip_prefix(&prefix))
                .map(str::to_owned)
                .collect()
        };
        assert!(
            reached.is_subset(&told),
            "round {round}: {reached:?} got it, {told:?} were told"
        );
        for row in rows
            .iter()
            .filter(|row| !told.contains(&row.recipient.department))
        {
            assert_eq!((row.state, row.attempts), (DeliveryState::Cancelled, 0));
        }
    }
    outbox.stop().await;
}

#[tokio::test]
async fn a_dead_gateway_delays_nobody_else() {
    let good = Server::start(|_| ok()).await;
    let stalled = Server::start(|_| Reply::Stall(Vec::new())).await;
    let mut urls = vec![stalled.url.clone(); 20];
    urls.push(good.url.clone());
    let place = Place::new();
    let ledger = place.open(&plans(&urls)).await;
    let config = OutboxConfig {
        per_host: 2,
        per_channel: 4,
        attempt_timeout: Duration::from_millis(200),
        ..fast()
    };
    let outbox = start(&ledger, config).await;
    let entry = warn(&ledger, 1).await;
    until("d20 has it", async || {
        (all(&ledger, entry.id).await[20].state == DeliveryState::Delivered).then_some(())
    })
    .await;
    let rows = all(&ledger, entry.id).await;
    assert!(
        rows[..20].iter().all(|row| row.attempts <= 1),
        "the dead gateway had its first attempts at most"
    );
    outbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_for_the_attempt_under_way() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let mut server = Server::start(move |_| {
        gate.lock().unwrap().recv().unwrap();
        ok()
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let entry = warn(&ledger, 1).await;
    until("the attempt", async || {
        (all(&ledger, entry.id).await[0].state == DeliveryState::Sending).then_some(())
    })
    .await;
    let stopping = tokio::spawn(outbox.stop());
    go.send(()).unwrap();
    server.next().await;
    stopping.await.unwrap();
    assert_eq!(
        all(&ledger, entry.id).await[0].state,
        DeliveryState::Delivered
    );
    // what comes later waits for the next start
    let second = warn(&ledger, 2).await;
    assert_eq!(
        all(&ledger, second.id).await[0].state,
        DeliveryState::Queued
    );
    go.send(()).unwrap();
    let outbox = start(&ledger, fast()).await;
    settled(&ledger, second.id, &[DeliveryState::Delivered]).await;
    outbox.stop().await;
}

#[test]
fn a_crash_keeps_the_queue() {
    let place = Place::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let after = runtime();
    let silent = Arc::new(AtomicBool::new(true));
    let stalls = Arc::clone(&silent);
    let mut server = after.block_on(Server::start(move |_| {
        if stalls.load(Ordering::SeqCst) {
            Reply::Stall(Vec::new())
        } else {
            ok()
        }
    }));
    let plans = plans(&[server.url.clone(), server.url.clone()]);
    let before = runtime();
    let entry = before.block_on(async {
        let ledger = place.open(&plans).await;
        std::mem::forget(
            start(
                &ledger,
                OutboxConfig {
                    per_host: 1,
                    ..fast()
                },
            )
            .await,
        );
        warn(&ledger, 1).await
    });
    let tried = after.block_on(server.next());
    before.shutdown_background();
    silent.store(false, Ordering::SeqCst);
    after.block_on(async {
        let ledger = place.open(&plans).await;
        assert_eq!(ledger.position(), 1);
        let outbox = start(&ledger, fast()).await;
        let rows = settled(&ledger, entry.id, &[DeliveryState::Delivered]).await;
        assert!(
            rows.iter()
                .any(|row| row.message_id == tried.header("webhook-id")),
            "the same id again"
        );
        let ids = [server.next().await, server.next().await]
            .map(|request| request.header("webhook-id").to_owned());
        assert_eq!(
            BTreeSet::from(ids),
            rows.iter().map(|row| row.message_id.clone()).collect()
        );
        outbox.stop().await;
    });
}

#[tokio::test]
async fn a_channel_that_is_not_switched_on_cannot_be_chosen() {
    let place = Place::new();
    let ledger = place.open(&plans(&["http://127.0.0.1:1".to_owned()])).await;
    let outbox = start(&ledger, fast()).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let wish = IssueWarning {
        channels: Some(vec!["webhook".to_owned(), "sms".to_owned()]),
        ..IssueWarning::default()
    };
    let refused = ledger.issue_warning(alert, &wish, &call()).await;
    insta::assert_snapshot!(refused.unwrap_err(), @"the channel `sms` is not switched on: choose from webhook, or configure it in citywatch.toml");
    outbox.stop().await;
}
