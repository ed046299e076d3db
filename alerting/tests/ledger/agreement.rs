//! What becomes of the alert book when an engine that was built anew sees other levels.

use crate::support::*;
use citywatch_alerting::ledger::{Condition, Handling};
use citywatch_model::Level::{self, Orange, Red};

const AUTOMATIC: &str = "
departments:
  - { id: pumps, channels: [{ kind: webhook, url: 'http://127.0.0.1:9/' }] }
plans:
  - id: default
    levels: { orange: { tell: [pumps], automatic: true }, red: { tell: [pumps], automatic: true } }
";

#[tokio::test]
async fn an_engine_that_was_built_anew_is_agreed_with() {
    let place = Place::new();
    let ledger = place.open(AUTOMATIC).await;
    let ids: Vec<i64> = apply(
        &ledger,
        ["same", "worse", "gone", "over", "shut"]
            .map(|subject| raise(1, subject, Orange))
            .into(),
    )
    .await
    .alerts
    .iter()
    .map(|alert| alert.id)
    .collect();
    apply(&ledger, vec![clear(2, "over", Orange)]).await;
    let [_, _, _, over, shut] = ids[..] else {
        panic!("five alerts")
    };
    let closed = ledger.close(shut, "pumped dry", true, &call()).await;
    assert_eq!(closed.unwrap().handling, Handling::Closed);

    let standing = [
        raise(1, "same", Orange),
        relevel(2, "worse", Red),
        raise(2, "over", Orange),
        raise(1, "shut", Orange),
        raise(2, "new", Red),
    ];
    let changed = ledger.agree(&standing).await.unwrap();
    let told: Vec<(&str, Condition, Level)> = changed
        .iter()
        .map(|alert| (alert.subject.as_str(), alert.condition, alert.level))
        .collect();
    assert_eq!(
        told,
        [
            ("worse", Condition::Active, Red),
            ("over", Condition::Active, Orange),
            ("new", Condition::Active, Red),
            ("gone", Condition::Unwatched, Orange),
        ]
    );
    assert_eq!(changed[1].id, over, "the same spell");
    assert!(changed.iter().all(|alert| alert.warning.is_some()));
    assert!(changed[3].needs_attention, "a person finds out");
    assert!(ledger.agree(&standing).await.unwrap().is_empty());
    // also after a restart
    let ledger = place.open(AUTOMATIC).await;
    assert!(ledger.agree(&standing).await.unwrap().is_empty());
}
