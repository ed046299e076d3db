//! The alert book: what transitions and people do to alerts, and that nothing is counted twice.

use crate::support::*;
use citywatch_alerting::ledger::{
    AlertFilter, AlertState, Call, Condition, Epoch, Handling, Verdict,
};
use citywatch_model::Level::{Blue, Orange, Red, Yellow};
use citywatch_model::Time;

const NO_PLANS: &str = "departments: []\nplans: []\n";

#[tokio::test]
async fn an_epoch_counts_once() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let changes = vec![
        raise(3, "u-1", Orange),
        relevel(4, "u-1", Red),
        raise(4, "u-2", Blue),
    ];
    let applied = apply(&ledger, changes.clone()).await;
    assert_eq!(applied.alerts.len(), 3);
    assert_eq!(ledger.position(), 4);
    for again in [changes.clone(), changes[1..].to_vec()] {
        assert!(apply(&ledger, again).await.alerts.is_empty());
    }
    let ledger = place.open(NO_PLANS).await;
    assert_eq!(ledger.position(), 4);
    assert!(apply(&ledger, changes).await.alerts.is_empty());
    let detail = ledger.alert(applied.alerts[0].id).await.unwrap();
    assert_eq!(detail.transitions.len(), 2);
    assert_eq!(
        (detail.alert.level, detail.alert.worst, detail.alert.version),
        (Red, Red, 2)
    );
    assert_eq!(
        ledger
            .alerts(&AlertFilter::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

#[tokio::test]
async fn empty_epochs_move_the_position_and_survive_a_flush() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    apply(&ledger, vec![raise(3, "u-1", Orange)]).await;
    ledger
        .apply(Epoch {
            position: 90,
            clock: Time::MIN,
            changes: Vec::new(),
            lit: Vec::new(),
        })
        .await
        .unwrap();
    assert_eq!(ledger.position(), 3, "only what is on disk counts");
    assert!(
        apply(&ledger, vec![clear(50, "u-1", Orange)])
            .await
            .alerts
            .is_empty(),
        "below what was seen"
    );
    ledger.flush_position().await.unwrap();
    assert_eq!(ledger.position(), 90);
    assert_eq!(place.open(NO_PLANS).await.position(), 90);
}

#[tokio::test]
async fn a_flapping_sensor_keeps_one_alert() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Yellow)]).await.alerts[0].id;
    ledger.acknowledge(id, "", &call()).await.unwrap();
    for turn in 0..5 {
        let at = 10 + turn * 10;
        apply(
            &ledger,
            vec![clear(at, "u-1", Yellow), raise(at + 5, "u-1", Yellow)],
        )
        .await;
    }
    let alert = ledger.alert(id).await.unwrap().alert;
    assert_eq!(
        ledger
            .alerts(&AlertFilter::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        (alert.spells, alert.needs_attention, alert.handling),
        (6, false, Handling::Acknowledged)
    );
    // worse than what was acknowledged
    let alert = apply(&ledger, vec![relevel(100, "u-1", Orange)])
        .await
        .alerts
        .remove(0);
    assert!(alert.needs_attention);
    let alert = ledger.acknowledge(id, "seen", &call()).await.unwrap();
    assert!(!alert.needs_attention);
    // a new breach long after recovery is news
    let alerts = apply(
        &ledger,
        vec![clear(200, "u-1", Orange), raise(1_000, "u-1", Yellow)],
    )
    .await
    .alerts;
    assert!(!alerts[0].needs_attention && alerts[1].needs_attention);
    assert_eq!(alerts[1].id, id);
}

#[tokio::test]
async fn people_act_in_order_and_with_what_they_saw() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let seen = |version| Call {
        version: Some(version),
        ..call()
    };
    let alert = ledger.acknowledge(id, "on it", &seen(1)).await.unwrap();
    assert_eq!((alert.handling, alert.version), (Handling::Acknowledged, 2));
    let stale = ledger
        .verify(id, Verdict::True, "", &seen(1))
        .await
        .unwrap_err();
    assert!(stale.is_conflict());
    insta::assert_snapshot!(stale, @"alert 1 is at version 2 and no longer at 1: read it again, then decide");
    let alert = ledger
        .verify(id, Verdict::True, "camera shows water", &seen(2))
        .await
        .unwrap();
    assert_eq!(
        (alert.handling, alert.verdict),
        (Handling::Verified, Some(Verdict::True))
    );
    let alert = ledger.assign(id, "pumps", "", &call()).await.unwrap();
    assert_eq!(alert.handling, Handling::Assigned);
    let alert = ledger.acknowledge(id, "", &call()).await.unwrap();
    assert_eq!(alert.handling, Handling::Assigned, "never backwards");
    let refused = [
        ledger.close(id, " ", true, &call()).await.unwrap_err(),
        ledger
            .close(id, "pumped dry", false, &call())
            .await
            .unwrap_err(),
        ledger.assign(id, "", "", &call()).await.unwrap_err(),
        ledger.acknowledge(99, "", &call()).await.unwrap_err(),
    ];
    insta::assert_snapshot!(refused.map(|error| error.to_string()).join("\n"), @"
    close needs `note`: say what was found and done
    alert 1 cannot be closed while its condition holds: wait for recovery, or close with `force`
    assign needs `to`: name the department or person who is sent
    there is no alert `99`; list them to see which there are
    ");
    apply(&ledger, vec![clear(5, "u-1", Orange)]).await;
    let alert = ledger
        .close(id, "pumped dry", false, &call())
        .await
        .unwrap();
    assert_eq!(
        (alert.handling, alert.note.as_str()),
        (Handling::Closed, "pumped dry")
    );
    assert!(
        ledger
            .verify(id, Verdict::False, "", &call())
            .await
            .unwrap_err()
            .is_conflict()
    );
    let acts: Vec<String> = ledger
        .alert(id)
        .await
        .unwrap()
        .acts
        .into_iter()
        .map(|act| act.act)
        .collect();
    assert_eq!(
        acts,
        ["acknowledge", "verify", "assign", "acknowledge", "close"]
    );
    assert_eq!(ledger.audit(2, None).await.unwrap()[0].act, "close");
    // the next breach is a new alert
    assert_ne!(
        apply(&ledger, vec![raise(9, "u-1", Blue)]).await.alerts[0].id,
        id
    );
}

#[tokio::test]
async fn an_alert_closed_by_force_stays_closed_until_it_worsens() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Yellow)]).await.alerts[0].id;
    ledger
        .close(id, "broken sensor", true, &call())
        .await
        .unwrap();
    // also after a restart
    let ledger = place.open(NO_PLANS).await;
    let alerts = apply(
        &ledger,
        vec![relevel(2, "u-1", Blue), relevel(3, "u-1", Yellow)],
    )
    .await
    .alerts;
    assert!(
        alerts
            .iter()
            .all(|alert| alert.id == id && !alert.is_open())
    );
    let worse = apply(&ledger, vec![relevel(4, "u-1", Red)])
        .await
        .alerts
        .remove(0);
    assert!(worse.id != id && worse.is_open());
    apply(&ledger, vec![clear(5, "u-1", Red)]).await;
    assert_eq!(
        ledger.alert(worse.id).await.unwrap().alert.condition,
        Condition::Recovered
    );
    // a clear without an alert is nothing
    assert!(
        apply(&ledger, vec![clear(6, "u-9", Red)])
            .await
            .alerts
            .is_empty()
    );
}

#[tokio::test]
async fn who_is_no_longer_watched_has_not_recovered() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Red)]).await.alerts[0].id;
    ledger.acknowledge(id, "on it", &call()).await.unwrap();
    let alert = apply(&ledger, vec![unwatch(2, "u-1", Red)])
        .await
        .alerts
        .remove(0);
    assert_eq!(
        (alert.condition, alert.level, alert.cleared_at),
        (Condition::Unwatched, Red, None)
    );
    assert!(alert.is_open() && alert.needs_attention);
    // also after a restart
    let ledger = place.open(NO_PLANS).await;
    let listed = async |state| {
        let filter = AlertFilter {
            state: Some(state),
            ..AlertFilter::default()
        };
        ledger.alerts(&filter).await.unwrap().items.len()
    };
    assert_eq!(
        [
            listed(AlertState::Unwatched).await,
            listed(AlertState::Attention).await,
            listed(AlertState::Active).await,
            listed(AlertState::Recovered).await
        ],
        [1, 1, 0, 0]
    );
    // the changed rule sees a level again: the same alert, the same spell
    let alert = apply(&ledger, vec![raise(3, "u-1", Orange)])
        .await
        .alerts
        .remove(0);
    assert_eq!(
        (alert.id, alert.condition, alert.level, alert.worst),
        (id, Condition::Active, Orange, Red)
    );
    assert_eq!((alert.spells, alert.active_since), (1, alert.raised_at));
    apply(&ledger, vec![unwatch(4, "u-1", Orange)]).await;
    let closed = ledger.close(id, "pumped dry", false, &call()).await;
    assert_eq!(closed.unwrap().handling, Handling::Closed);
    let detail = ledger.alert(id).await.unwrap();
    let history: Vec<&str> = detail.transitions.iter().map(|t| t.kind.as_str()).collect();
    assert_eq!(history, ["raise", "unwatched", "raise", "unwatched"]);
    let events = ledger.events_after(0, 9).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "alert.raised",
            "alert.acknowledged",
            "alert.unwatched",
            "alert.reopened",
            "alert.unwatched",
            "alert.closed"
        ]
    );
    let next = apply(&ledger, vec![raise(5, "u-1", Orange)]).await.alerts[0].id;
    assert_ne!(next, id, "what was closed stays closed");
}

#[tokio::test]
async fn an_idempotency_key_gets_the_first_answer() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let keyed = Call {
        key: Some("k1".to_owned()),
        ..call()
    };
    let first = ledger.acknowledge(id, "on it", &keyed).await.unwrap();
    apply(&ledger, vec![relevel(2, "u-1", Red)]).await;
    assert_eq!(
        ledger.acknowledge(id, "on it", &keyed).await.unwrap(),
        first
    );
    let other = ledger
        .acknowledge(id, "something else", &keyed)
        .await
        .unwrap_err();
    insta::assert_snapshot!(other, @"the idempotency key `k1` was used for another call: take a new key for a new call");
    assert_eq!(ledger.alert(id).await.unwrap().acts.len(), 1);
    // keys belong to their actor
    let mut stranger = keyed.clone();
    stranger.actor.name = "wang".to_owned();
    ledger
        .acknowledge(id, "something else", &stranger)
        .await
        .unwrap();
}

#[tokio::test]
async fn followers_go_on_where_they_stopped() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let mut newest = ledger.subscribe();
    let id = apply(
        &ledger,
        vec![raise(1, "u-1", Orange), relevel(2, "u-1", Red)],
    )
    .await
    .alerts[0]
        .id;
    newest.changed().await.unwrap();
    assert_eq!(*newest.borrow_and_update(), 2);
    ledger.acknowledge(id, "", &call()).await.unwrap();
    apply(&ledger, vec![clear(3, "u-1", Red), raise(4, "u-1", Red)]).await;
    let kinds = |events: Vec<citywatch_alerting::ledger::Event>| {
        events
            .into_iter()
            .map(|event| format!("{} {}", event.id, event.kind))
            .collect::<Vec<_>>()
    };
    let all = kinds(ledger.events_after(0, 100).await.unwrap());
    assert_eq!(
        all,
        [
            "1 alert.raised",
            "2 alert.changed",
            "3 alert.acknowledged",
            "4 alert.recovered",
            "5 alert.reopened"
        ]
    );
    assert_eq!(
        kinds(ledger.events_after(3, 1).await.unwrap()),
        ["4 alert.recovered"]
    );
    let ledger = place.open(NO_PLANS).await;
    assert_eq!(*ledger.subscribe().borrow(), 5);
    let event = ledger.events_after(4, 9).await.unwrap().remove(0);
    assert_eq!(
        (event.data["id"].as_i64(), event.data["level"].as_str()),
        (Some(id), Some("red"))
    );
}

#[tokio::test]
async fn lists_are_narrowed_and_paged() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let levels = [Blue, Yellow, Orange, Red];
    let changes = (0..40)
        .map(|n| raise(n + 1, &format!("u-{n:02}"), levels[n as usize % 4]))
        .collect();
    apply(&ledger, changes).await;
    let mut filter = AlertFilter {
        limit: Some(7),
        level_min: Some(Orange),
        ..AlertFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = ledger.alerts(&filter).await.unwrap();
        seen.extend(page.items.iter().map(|alert| alert.id));
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
    let count = async |filter: AlertFilter| ledger.alerts(&filter).await.unwrap().items.len();
    let filter = AlertFilter::default;
    assert_eq!(
        count(AlertFilter {
            zone: Some("east".to_owned()),
            ..filter()
        })
        .await,
        40,
        "zones nest"
    );
    assert_eq!(
        count(AlertFilter {
            zone: Some("west".to_owned()),
            ..filter()
        })
        .await,
        0
    );
    assert_eq!(
        count(AlertFilter {
            hazard: Some("' OR 1=1 --".to_owned()),
            ..filter()
        })
        .await,
        0
    );
    assert_eq!(
        count(AlertFilter {
            subject: Some("u-07".to_owned()),
            ..filter()
        })
        .await,
        1
    );
    assert_eq!(
        count(AlertFilter {
            state: Some(AlertState::Recovered),
            ..filter()
        })
        .await,
        0
    );
    assert_eq!(
        count(AlertFilter {
            state: Some(AlertState::Attention),
            ..filter()
        })
        .await,
        40
    );
    let since = Some("2026-11-22T00:00:31Z".parse().unwrap());
    assert_eq!(count(AlertFilter { since, ..filter() }).await, 10);
    assert_eq!(
        count(AlertFilter {
            until: since,
            ..filter()
        })
        .await,
        30
    );
    let wrong = ledger
        .alerts(&AlertFilter {
            cursor: Some("x".to_owned()),
            ..filter()
        })
        .await
        .unwrap_err();
    assert!(wrong.is_invalid());
    let summary = ledger.summary().await.unwrap();
    assert_eq!(
        summary.alerts.iter().map(|count| count.open).sum::<u64>(),
        40
    );
}

#[tokio::test]
async fn a_newer_ledger_is_refused_untouched() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    ledger.shutdown().await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("INSERT INTO schema_versions VALUES (4711, 0)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let error = place.try_open(NO_PLANS).await.err().unwrap();
    let said = error.to_string();
    assert!(
        said.starts_with("the ledger has schema 4711, this program knows up to ")
            && said.ends_with(": start the newer program, or restore an older ledger"),
        "{said}"
    );
}

#[tokio::test]
async fn a_locked_ledger_says_so_and_keeps_nothing_half_done() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut stranger = pool.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *stranger)
        .await
        .unwrap();
    let changes = vec![raise(1, "u-1", Orange)];
    let error = ledger.apply(epoch(changes.clone())).await.unwrap_err();
    assert!(error.may_retry());
    insta::assert_snapshot!(error, @"the ledger is locked by another program: end it, only one may write; what was asked has not been kept");
    sqlx::query("ROLLBACK")
        .execute(&mut *stranger)
        .await
        .unwrap();
    assert_eq!(ledger.position(), 0);
    assert_eq!(apply(&ledger, changes).await.alerts[0].id, 1);
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_while_the_ledger_is_open() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let size = || std::fs::metadata(place.file()).unwrap().len();
    let (empty, position) = (size(), std::cell::Cell::new(0));
    let (ledger, size, position) = (&ledger, &size, &position);
    until("the file grows by a checkpoint", || async move {
        for _ in 0..100 {
            position.set(position.get() + 1);
            let subject = format!("u-{}", position.get());
            apply(ledger, vec![raise(position.get(), &subject, Orange)]).await;
        }
        (size() > empty).then_some(())
    })
    .await;
    assert_eq!(ledger.alert(1).await.unwrap().transitions.len(), 1);
}
