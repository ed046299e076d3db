//! Order within a lane: what holds now is never kept back, and nothing that still matters loses its place.

use super::*;

#[tokio::test]
async fn a_newer_message_is_not_kept_back_by_an_older_one() {
    let mut server = Server::start(|request| {
        if kind_of(request) == "warning.issued" {
            busy()
        } else {
            ok()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let patient = Duration::from_secs(3_600);
    let outbox = start(
        &ledger,
        OutboxConfig {
            retry_base: patient,
            retry_cap: patient,
            ..fast()
        },
    )
    .await;
    let first = warn(&ledger, 1).await;
    server.next().await;
    apply(&ledger, vec![relevel(2, "u-1", Red)]).await;
    let second = ledger
        .update_warning(first.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    settled(&ledger, second.id, &[DeliveryState::Delivered]).await;
    let older = all(&ledger, first.id).await.remove(0);
    assert_eq!(
        (older.state, older.detail.as_str()),
        (
            DeliveryState::Cancelled,
            "a newer message took its place after 2 attempts"
        )
    );
    assert_eq!(
        [kind_of(&server.next().await), kind_of(&server.next().await)],
        ["warning.issued", "warning.updated"]
    );
    outbox.stop().await;
}

#[tokio::test]
async fn a_drill_takes_no_warnings_place_and_holds_none_back() {
    let back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&back);
    let server = Server::start(move |request| {
        let drill = String::from_utf8_lossy(&request.body).contains("TEST: ");
        if seen.load(Ordering::SeqCst) && !drill {
            ok()
        } else {
            busy()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let actual = warn(&ledger, 1).await;
    let test = IssueWarning {
        status: Status::Test,
        ..IssueWarning::default()
    };
    let drill = ledger
        .issue_warning(actual.alert, &test, &call())
        .await
        .unwrap();
    until("both are tried and tried again", async || {
        let rows = [all(&ledger, actual.id).await, all(&ledger, drill.id).await].concat();
        rows.iter().all(|row| row.attempts > 3).then_some(())
    })
    .await;
    back.store(true, Ordering::SeqCst);
    settled(&ledger, actual.id, &[DeliveryState::Delivered]).await;
    assert_eq!(
        all(&ledger, drill.id).await[0].state,
        DeliveryState::Sending,
        "it still fails, and held nothing back"
    );
    outbox.stop().await;
}

#[tokio::test]
async fn a_new_warning_on_the_alert_takes_no_withdrawals_place() {
    let back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&back);
    let mut server = Server::start(move |_| {
        if seen.load(Ordering::SeqCst) {
            ok()
        } else {
            busy()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let first = warn(&ledger, 1).await;
    server.next().await;
    let withdrawal = ledger
        .withdraw_warning(first.id, &withdrawn(), &call())
        .await
        .unwrap();
    let second = ledger
        .issue_warning(first.alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    until("the withdrawal is tried and tried again", async || {
        (all(&ledger, withdrawal.id).await[0].attempts > 3).then_some(())
    })
    .await;
    back.store(true, Ordering::SeqCst);
    settled(&ledger, withdrawal.id, &[DeliveryState::Delivered]).await;
    settled(&ledger, second.id, &[DeliveryState::Delivered]).await;
    let mut kinds = Vec::new();
    while server.waiting() > 0 {
        kinds.push(kind_of(&server.next().await));
    }
    kinds.dedup();
    let last = &kinds[kinds.len() - 2..];
    assert_eq!(last, ["warning.withdrawn", "warning.issued"], "in order");
    outbox.stop().await;
}

/// A receiver that takes all but messages of the type `refused`.
async fn refusing(refused: &'static str) -> Server {
    Server::start(move |request| {
        if kind_of(request) == refused {
            busy()
        } else {
            ok()
        }
    })
    .await
}

#[tokio::test]
async fn a_new_warning_does_not_wait_behind_a_lifting_that_is_refused() {
    let mut server = refusing("warning.lifted").await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let blue = warn(&ledger, 1).await;
    settled(&ledger, blue.id, &[DeliveryState::Delivered]).await;
    apply(&ledger, vec![clear(2, "u-1", Orange)]).await;
    let lifting = ledger
        .lift_warning(blue.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    until("the lifting is tried and tried again", async || {
        (all(&ledger, lifting.id).await[0].attempts > 3).then_some(())
    })
    .await;
    apply(&ledger, vec![raise(3, "u-1", Red)]).await;
    let red = ledger
        .issue_warning(blue.alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    settled(&ledger, red.id, &[DeliveryState::Delivered]).await;
    let older = all(&ledger, lifting.id).await.remove(0);
    assert_eq!(older.state, DeliveryState::Cancelled);
    let why = "a newer warning took its place after";
    assert!(older.detail.starts_with(why), "{}", older.detail);
    let mut last = String::new();
    while server.waiting() > 0 {
        last = kind_of(&server.next().await);
    }
    assert_eq!(last, "warning.issued", "no all-clear after it");
    outbox.stop().await;
}

#[tokio::test]
async fn a_withdrawal_that_is_refused_lets_a_new_warning_pass_and_is_still_tried() {
    let back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&back);
    let server = Server::start(move |request| {
        if kind_of(request) == "warning.withdrawn" && !seen.load(Ordering::SeqCst) {
            busy()
        } else {
            ok()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(
        &ledger,
        OutboxConfig {
            polite: Duration::from_millis(50),
            ..fast()
        },
    )
    .await;
    let first = warn(&ledger, 1).await;
    settled(&ledger, first.id, &[DeliveryState::Delivered]).await;
    let withdrawal = ledger
        .withdraw_warning(first.id, &withdrawn(), &call())
        .await
        .unwrap();
    let red = ledger
        .issue_warning(first.alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    settled(&ledger, red.id, &[DeliveryState::Delivered]).await;
    let before = all(&ledger, withdrawal.id).await[0].attempts;
    until("the withdrawal is tried behind it", async || {
        (all(&ledger, withdrawal.id).await[0].attempts > before + 1).then_some(())
    })
    .await;
    // what ends the new one passes too
    let lifting = ledger
        .lift_warning(red.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    settled(&ledger, lifting.id, &[DeliveryState::Delivered]).await;
    back.store(true, Ordering::SeqCst);
    settled(&ledger, withdrawal.id, &[DeliveryState::Delivered]).await;
    let numbers = detail(&ledger, all(&ledger, withdrawal.id).await[0].id)
        .await
        .log;
    assert!(
        (1..)
            .zip(&numbers)
            .all(|(number, row)| row.number == number),
        "no attempt is lost or counted twice: {numbers:?}"
    );
    outbox.stop().await;
}

#[tokio::test]
async fn a_pause_that_was_asked_for_ends_when_something_newer_waits() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::start(move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            Reply::answer("429 Too Many Requests", "retry-after: 86400\r\n", "")
        } else {
            ok()
        }
    })
    .await;
    let place = Place::new();
    let ledger = place.open(&plans(std::slice::from_ref(&server.url))).await;
    let outbox = start(&ledger, fast()).await;
    let pausing = async |warning| {
        until("the pause", async || {
            (all(&ledger, warning).await[0].attempts == 1).then_some(())
        })
        .await;
    };
    // withdrawn: no further attempt of the earlier message, and none to wait for
    let first = warn(&ledger, 1).await;
    pausing(first.id).await;
    let last = ledger
        .withdraw_warning(first.id, &withdrawn(), &call())
        .await
        .unwrap();
    settled(&ledger, last.id, &[DeliveryState::Delivered]).await;
    let cancelled = all(&ledger, first.id).await.remove(0);
    assert_eq!(
        (cancelled.state, cancelled.attempts),
        (DeliveryState::Cancelled, 1)
    );
    // worse: the update goes out after a polite moment
    asked.store(0, Ordering::SeqCst);
    let second = warn(&ledger, 2).await;
    pausing(second.id).await;
    apply(&ledger, vec![relevel(3, "u-2", Red)]).await;
    let update = ledger
        .update_warning(second.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    settled(&ledger, update.id, &[DeliveryState::Delivered]).await;
    outbox.stop().await;
}
