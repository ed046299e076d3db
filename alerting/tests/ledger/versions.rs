//! Versions of what is in force, and rules on trial: recorded, never told to anybody until they are live.

use std::collections::BTreeMap;
use std::sync::Arc;

use citywatch_alerting::ledger::{
    AlertFilter, AlertState, Contents, Epoch, IssueWarning, NewVersion, Part, PartText,
    RuleVersion, sha256,
};
use citywatch_alerting::{Ledger, LedgerError};
use citywatch_model::{Level, Mode, RuleInfo, name};
use serde_json::json;

use crate::support::{Place, call, clear, raise, relevel};

/// Orange and red are told by themselves.
const AUTOMATIC: &str = "
departments:
  - { id: traffic, channels: [{ kind: cap_mqtt, topic: citywatch/cap/traffic }] }
plans:
  - id: flood
    hazard: flood
    levels:
      orange: { tell: [traffic], automatic: true }
";

fn in_mode(
    mut change: citywatch_alerting::ledger::Change,
    mode: Mode,
) -> citywatch_alerting::ledger::Change {
    change.rule = Arc::new(RuleInfo {
        mode,
        ..RuleInfo::clone(&change.rule)
    });
    change.rule_version = 4;
    change
}

async fn events(ledger: &Ledger) -> Vec<String> {
    let events = ledger.events_after(0, 1_000).await.unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

async fn count(ledger: &Ledger, shadow: bool) -> usize {
    let filter = AlertFilter {
        shadow,
        state: Some(AlertState::Open),
        ..AlertFilter::default()
    };
    ledger.alerts(&filter).await.unwrap().items.len()
}

async fn book(ledger: &Ledger, change: citywatch_alerting::ledger::Change) {
    crate::support::apply(ledger, vec![change]).await;
}

#[tokio::test]
async fn a_rule_on_trial_is_recorded_and_tells_nobody_until_it_is_live() {
    let place = Place::new();
    let ledger = place.open(AUTOMATIC).await;
    let dark = in_mode(raise(1, "u-1", Level::Orange), Mode::Shadow);
    let rule = Arc::clone(&dark.rule);
    book(&ledger, dark).await;
    let red = in_mode(raise(2, "u-2", Level::Orange), Mode::Shadow);
    book(&ledger, red).await;
    book(
        &ledger,
        in_mode(clear(3, "u-2", Level::Orange), Mode::Shadow),
    )
    .await;
    assert_eq!(
        (count(&ledger, false).await, count(&ledger, true).await),
        (0, 2)
    );
    let summary = ledger.summary().await.unwrap();
    assert!(
        summary.alerts.is_empty() && summary.warnings == 0,
        "{summary:?}"
    );
    assert_eq!(
        events(&ledger).await,
        ["shadow.raised", "shadow.raised", "shadow.recovered"]
    );
    let detail = ledger.alert(1).await.unwrap();
    assert!(detail.alert.shadow && !detail.alert.needs_attention);
    assert_eq!(
        (
            detail.alert.rule_version,
            detail.transitions[0].rule_version
        ),
        (4, 4)
    );
    let refused = ledger
        .issue_warning(1, &IssueWarning::default(), &call())
        .await;
    let refused = refused.unwrap_err();
    assert!(
        refused.is_conflict() && refused.to_string().contains("on trial"),
        "{refused}"
    );

    let lit = Epoch {
        position: 4,
        clock: citywatch_model::Time::MIN,
        changes: Vec::new(),
        lit: vec![Arc::new(RuleInfo {
            mode: Mode::Live,
            ..RuleInfo::clone(&rule)
        })],
    };
    let applied = ledger.apply(lit.clone()).await.unwrap();
    let alert = &applied.alerts[0];
    assert!(
        !alert.shadow && alert.needs_attention && alert.warning == Some(1),
        "{alert:?}"
    );
    // what has ended needs nobody, and the same record read again changes nothing
    assert_eq!(applied.alerts.len(), 1);
    assert_eq!(ledger.apply(lit).await.unwrap().alerts.len(), 0);
    assert_eq!(ledger.position(), 4);
    assert_eq!(
        (count(&ledger, false).await, count(&ledger, true).await),
        (1, 1)
    );
    assert_eq!(ledger.summary().await.unwrap().warnings, 1);
    assert_eq!(
        events(&ledger).await[3..],
        ["alert.raised", "warning.issued"]
    );
    // a new breach of what had ended in shadow is an alert as any other
    book(&ledger, in_mode(raise(5, "u-2", Level::Orange), Mode::Live)).await;
    assert_eq!(
        (count(&ledger, false).await, count(&ledger, true).await),
        (2, 0)
    );
    assert!(ledger.alert(2).await.unwrap().alert.needs_attention);
    let open = ledger.open_alerts().await.unwrap();
    assert_eq!((open[&rule.id].live, open[&rule.id].shadow), (2, 0));
}

#[tokio::test]
async fn what_was_open_when_a_rule_went_on_trial_stays_and_warns_no_more() {
    let place = Place::new();
    let ledger = place.open(AUTOMATIC).await;
    book(&ledger, in_mode(raise(1, "u-1", Level::Blue), Mode::Live)).await;
    book(
        &ledger,
        in_mode(relevel(2, "u-1", Level::Orange), Mode::Shadow),
    )
    .await;
    let alert = ledger.alert(1).await.unwrap().alert;
    assert!(!alert.shadow && alert.level == Level::Orange && alert.warning.is_none());
    assert_eq!(ledger.summary().await.unwrap().warnings, 0);
    assert_eq!(count(&ledger, false).await, 1);
}

fn lit(position: u64) -> Epoch {
    Epoch {
        position,
        clock: citywatch_model::Time::MIN,
        changes: Vec::new(),
        lit: vec![Arc::new(crate::support::rule_info(name(
            "flood.underpass-depth",
        )))],
    }
}

#[tokio::test]
async fn what_grew_worse_on_trial_is_told_when_the_rule_is_live_again() {
    let place = Place::new();
    let ledger = place.open(AUTOMATIC).await;
    book(&ledger, in_mode(raise(1, "u-1", Level::Orange), Mode::Live)).await;
    book(
        &ledger,
        in_mode(relevel(2, "u-1", Level::Red), Mode::Shadow),
    )
    .await;
    assert_eq!(
        ledger.alert(1).await.unwrap().alert.warned,
        Some(Level::Orange)
    );
    let applied = ledger.apply(lit(3)).await.unwrap();
    assert_eq!(applied.alerts[0].warned, Some(Level::Red));
    assert_eq!(
        events(&ledger).await[3..],
        ["warning.updated"],
        "it was raised before"
    );
    // on trial and back once more: the warning in force says enough
    assert_eq!(ledger.apply(lit(4)).await.unwrap().alerts.len(), 0);
    assert_eq!(ledger.alert(1).await.unwrap().warnings.len(), 2);
}

#[tokio::test]
async fn what_lapses_while_the_rule_is_on_trial_is_not_renewed() {
    let place = Place::new();
    let ledger = place.open(AUTOMATIC).await;
    book(&ledger, in_mode(raise(1, "u-1", Level::Orange), Mode::Live)).await;
    ledger.acknowledge(1, "", &call()).await.unwrap();
    let rule = RuleVersion {
        version: 2,
        sha256: None,
        derived_sha256: None,
        mode: Mode::Shadow,
        since: 1,
    };
    let (mut contents, texts) = contents("rules: []");
    contents.rules = [(name("flood.underpass-depth"), rule)].into();
    let (asked, change) = (json!({}), json!({}));
    let new = NewVersion {
        id: 1,
        contents,
        texts: &texts,
        act: "mode",
        asked: &asked,
        reason: "works",
        change: &change,
    };
    ledger.add_version(&new, &call()).await.unwrap();
    place.pass(86_400);
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    let detail = ledger.alert(1).await.unwrap();
    assert_eq!((detail.warnings.len(), detail.alert.warned), (1, None));
    assert!(detail.alert.needs_attention, "a person looks");
    // live again: what it sees is told
    ledger.apply(lit(2)).await.unwrap();
    let detail = ledger.alert(1).await.unwrap();
    assert_eq!(
        (detail.warnings.len(), detail.alert.warned),
        (2, Some(Level::Orange))
    );
}

fn contents(text: &str) -> (Contents, BTreeMap<String, String>) {
    let part = PartText {
        part: Part::Rules,
        file: "rules/a.yaml".to_owned(),
        sha256: sha256(text),
    };
    let texts = BTreeMap::from([(part.sha256.clone(), text.to_owned())]);
    let contents = Contents {
        parts: vec![part],
        ..Contents::default()
    };
    (contents, texts)
}

#[tokio::test]
async fn a_version_is_written_once_with_who_when_and_why() {
    let place = Place::new();
    let ledger = place.open("departments: []").await;
    assert_eq!(ledger.newest_version().await.unwrap(), None);
    let (asked, change) = (json!({ "files": 1 }), json!({}));
    let (first, texts) = contents("rules: [] # 下穿\r\n");
    let new = NewVersion {
        id: 1,
        contents: first,
        texts: &texts,
        act: "apply",
        asked: &asked,
        reason: "order 7",
        change: &change,
    };
    let mut call = call();
    call.key = Some("k".to_owned());
    let written = ledger.add_version(&new, &call).await.unwrap();
    assert_eq!(
        (written.id, written.actor.as_str(), written.reason.as_str()),
        (1, "lin", "order 7")
    );
    assert_eq!(ledger.add_version(&new, &call).await.unwrap(), written);
    assert_eq!(
        ledger.answered("apply", &asked, &call).await.unwrap(),
        Some(written.clone())
    );
    let other = ledger
        .answered("apply", &json!({}), &call)
        .await
        .unwrap_err();
    assert!(other.is_conflict(), "{other}");
    call.key = None;
    let stale = ledger.add_version(&new, &call).await.unwrap_err();
    assert!(
        matches!(
            stale,
            LedgerError::StaleVersion {
                seen: 0,
                present: 1
            }
        ),
        "{stale}"
    );

    ledger.version_holds_from(1, 12).await.unwrap();
    ledger.shutdown().await.unwrap();
    let ledger = place.open("departments: []").await;
    let read = ledger.newest_version().await.unwrap().unwrap();
    assert_eq!(
        (read.position, &read.contents),
        (Some(12), &written.contents)
    );
    let wanted = texts.keys().cloned().collect();
    assert_eq!(
        ledger.texts(wanted).await.unwrap(),
        texts,
        "texts come back as they were brought"
    );
    let acts = ledger.audit(10, None).await.unwrap();
    assert_eq!(
        (acts[0].act.as_str(), &acts[0].detail["reason"]),
        ("apply", &json!("order 7"))
    );
    assert!(ledger.version(2).await.unwrap_err().not_found());
}
