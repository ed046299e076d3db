//! Whatever engine, people and recipients do in whatever order: no state moves backwards, a rule and subject have
//! one alert that is not closed, and replaying the journal changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::*;
use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{
    Alert, AlertFilter, Answer, AnswerWord, Change, Delivery, DeliveryFilter, DeliveryState,
    IssueWarning, Verdict, WarningFilter,
};
use citywatch_model::{Level, TransitionKind};
use proptest::prelude::*;

const PLANS: &str = "
departments:
  - { id: a, channels: [{ kind: webhook, url: 'http://127.0.0.1:1/a' }, { kind: cap_mqtt }] }
  - { id: b, channels: [{ kind: webhook, url: 'http://127.0.0.1:1/b' }] }
plans:
  - id: default
    levels: { blue: { tell: [a] }, orange: { tell: [b], automatic: true } }
";

/// One thing that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Move {
    Engine(Vec<(usize, Option<usize>)>),
    Acknowledge(usize),
    Verify(usize),
    Assign(usize),
    Close(usize, bool),
    Issue(usize),
    Follow(usize, u8),
    Answer(usize, u8),
    Reopen,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let change = (0..3_usize, proptest::option::of(0..4_usize));
    let one = prop_oneof![
        4 => proptest::collection::vec(change, 1..4).prop_map(Move::Engine),
        1 => any::<usize>().prop_map(Move::Acknowledge),
        1 => any::<usize>().prop_map(Move::Verify),
        1 => any::<usize>().prop_map(Move::Assign),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(at, force)| Move::Close(at, force)),
        2 => any::<usize>().prop_map(Move::Issue),
        2 => (any::<usize>(), 0..4_u8).prop_map(|(at, kind)| Move::Follow(at, kind)),
        1 => (any::<usize>(), 1..4_u8).prop_map(|(at, word)| Move::Answer(at, word)),
        1 => Just(Move::Reopen),
    ];
    proptest::collection::vec(one, 1..30)
}

/// What an engine would say: `None` clears, a level raises or changes.
#[derive(Default)]
struct Engine {
    position: u64,
    levels: BTreeMap<usize, Level>,
    said: Vec<Change>,
}

impl Engine {
    fn step(&mut self, subject: usize, wanted: Option<usize>) {
        let now = self.levels.get(&subject).copied();
        let wanted = wanted.map(|rank| Level::ALL[rank]);
        let (kind, level) = match (now, wanted) {
            (None, Some(level)) => (TransitionKind::Raise, level),
            (Some(now), Some(level)) if now != level => (TransitionKind::Change, level),
            (Some(now), None) => (TransitionKind::Clear, now),
            _ => return,
        };
        self.position += 1;
        match wanted {
            Some(level) => self.levels.insert(subject, level),
            None => self.levels.remove(&subject),
        };
        self.said.push(change(
            self.position,
            kind,
            &format!("u-{subject}"),
            level,
            1.0,
        ));
    }
}

#[derive(Default, PartialEq, Debug, Clone)]
struct Seen {
    alerts: BTreeMap<i64, Alert>,
    deliveries: BTreeMap<i64, Delivery>,
}

async fn look(ledger: &Ledger) -> Seen {
    let limit = Some(1_000);
    let alerts = ledger
        .alerts(&AlertFilter {
            limit,
            ..AlertFilter::default()
        })
        .await
        .unwrap()
        .items;
    let deliveries = ledger
        .deliveries(&DeliveryFilter {
            limit,
            ..DeliveryFilter::default()
        })
        .await
        .unwrap()
        .items;
    Seen {
        alerts: alerts.into_iter().map(|alert| (alert.id, alert)).collect(),
        deliveries: deliveries
            .into_iter()
            .map(|delivery| (delivery.id, delivery))
            .collect(),
    }
}

fn check(before: &Seen, after: &Seen) {
    let open: Vec<_> = after
        .alerts
        .values()
        .filter(|alert| alert.is_open())
        .map(|alert| alert.subject)
        .collect();
    assert_eq!(
        open.len(),
        open.iter().collect::<BTreeSet<_>>().len(),
        "one open alert per rule and subject"
    );
    for (id, old) in &before.alerts {
        let new = &after.alerts[id];
        assert!(
            new.handling >= old.handling && new.worst >= old.worst && new.version >= old.version,
            "{old:?} {new:?}"
        );
        assert!(
            new.version > old.version || new == old,
            "a change without a version: {old:?} {new:?}"
        );
        assert!(new.acknowledged_level >= old.acknowledged_level);
    }
    for (id, old) in &before.deliveries {
        let new = &after.deliveries[id];
        assert!(
            new.state >= old.state && new.answer >= old.answer && new.attempts >= old.attempts,
            "{old:?} {new:?}"
        );
    }
}

fn chosen<T: Clone>(all: impl Iterator<Item = T>, at: usize) -> Option<T> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then(|| all[at % all.len()].clone())
}

/// Refusals are part of the game; only the database may not fail.
fn played<T>(result: Result<T, citywatch_alerting::LedgerError>) {
    if let Err(error) = result {
        assert!(error.is_conflict() || error.is_invalid(), "{error}");
    }
}

async fn play(place: &Place, ledger: &mut Ledger, engine: &mut Engine, one: Move, seen: &Seen) {
    let alert = |at| chosen(seen.alerts.keys().copied(), at).unwrap_or(1);
    if seen.alerts.is_empty() && !matches!(one, Move::Engine(_) | Move::Reopen) {
        return;
    }
    match one {
        Move::Engine(steps) => {
            let from = engine.said.len();
            steps
                .into_iter()
                .for_each(|(subject, level)| engine.step(subject, level));
            if engine.said.len() > from {
                apply(ledger, engine.said[from..].to_vec()).await;
            }
        }
        Move::Acknowledge(at) => played(ledger.acknowledge(alert(at), "", &call()).await),
        Move::Verify(at) => played(
            ledger
                .verify(alert(at), Verdict::Unclear, "", &call())
                .await,
        ),
        Move::Assign(at) => played(ledger.assign(alert(at), "crew", "", &call()).await),
        Move::Close(at, force) => played(ledger.close(alert(at), "done", force, &call()).await),
        Move::Issue(at) => played(
            ledger
                .issue_warning(alert(at), &IssueWarning::default(), &call())
                .await,
        ),
        Move::Follow(at, kind) => {
            let warnings = ledger
                .warnings(&WarningFilter::default())
                .await
                .unwrap()
                .items;
            let Some(id) = chosen(warnings.iter().map(|entry| entry.id), at) else {
                return;
            };
            let wish = IssueWarning {
                note: Some("why".to_owned()),
                ..IssueWarning::default()
            };
            played(match kind {
                0 => ledger.update_warning(id, &wish, &call()).await,
                1 => ledger.lift_warning(id, &wish, &call()).await,
                2 => ledger.correct_warning(id, &wish, &call()).await,
                _ => ledger.withdraw_warning(id, &wish, &call()).await,
            });
        }
        Move::Answer(at, word) => {
            let Some(id) = chosen(seen.deliveries.keys().copied(), at) else {
                return;
            };
            let word = [AnswerWord::Received, AnswerWord::OnTheWay, AnswerWord::Done]
                [usize::from(word) - 1];
            played(
                ledger
                    .answer(
                        id,
                        &Answer {
                            word,
                            by: "li".to_owned(),
                            note: String::new(),
                        },
                        &call(),
                    )
                    .await,
            );
        }
        Move::Reopen => *ledger = place.open(PLANS).await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_moves_backwards_and_replays_change_nothing(moves in moves(), again in any::<usize>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let mut ledger = place.open(PLANS).await;
            let mut engine = Engine::default();
            let mut seen = Seen::default();
            for one in moves {
                play(&place, &mut ledger, &mut engine, one, &seen).await;
                let now = look(&ledger).await;
                check(&seen, &now);
                seen = now;
            }
            for alert in seen.alerts.values().filter(|alert| alert.is_open()) {
                let subject: usize = alert.subject.trim_start_matches("u-").parse().unwrap();
                let level = engine.levels.get(&subject).copied();
                let holds = alert.condition == citywatch_alerting::ledger::Condition::Active;
                assert_eq!(holds.then_some(alert.level), level, "the book follows the engine");
            }
            let from = again % (engine.said.len() + 1);
            if from < engine.said.len() {
                let events = ledger.subscribe().borrow().to_owned();
                let replayed = apply(&ledger, engine.said[from..].to_vec()).await;
                prop_assert!(replayed.alerts.is_empty());
                prop_assert_eq!(ledger.subscribe().borrow().to_owned(), events);
                prop_assert_eq!(look(&ledger).await, seen.clone());
            }
            let queued = seen.deliveries.values().all(|row| row.state <= DeliveryState::Cancelled);
            prop_assert!(queued, "without an outbox nothing is sent");
            Ok(())
        })?;
    }
}
