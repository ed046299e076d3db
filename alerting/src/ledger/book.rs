//! The alert book: which alert a transition concerns and what becomes of it. Pure; the live alerts are kept in
//! memory, and memory follows the table only after a commit.
//!
//! * One alert that is not closed per rule and subject. A new breach while one stands recovered reopens it, so
//!   that a flapping sensor does not flood the list.
//! * A level above the acknowledged one, or a new breach more than [`FLAP`] after recovery, demands attention
//!   again; what people had done stays.
//! * A rule that is changed or removed, or whose sensor is, says nothing about the danger: the alert is unwatched,
//!   stays open and demands attention until somebody lifts or closes. If the changed rule sees a level at the same
//!   subject, the alert goes on with it.
//! * A rule in shadow raises alerts in shadow, which demand no attention. What was open when it went into shadow
//!   stays as it is until it ends, but a new breach of it demands none either.
//! * An alert that was closed by force while its condition holds stays closed, until the condition worsens
//!   beyond its worst level or begins anew: that is a new alert. The closed one is kept beside it until the condition
//!   ends, which ends both, so that a warning on it is lifted too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use citywatch_model::{Duration, Mode, Name, RuleInfo, Sensor, Time, Transition, TransitionKind};

use super::alert::{Alert, Condition, Handling};

/// A breach this soon after recovery counts as the same spell of a flapping sensor.
pub(crate) const FLAP: Duration = Duration::from_secs(600);

/// One transition with what people need to know about it.
#[derive(Debug, Clone)]
pub struct Change {
    /// What the rule said.
    pub transition: Transition,
    /// The rule, with the mode that it had then.
    pub rule: Arc<RuleInfo>,
    /// Which version of the rule said so; 0 if unknown.
    pub rule_version: i64,
    /// The subject, if it is registered.
    pub sensor: Option<Arc<Sensor>>,
}

/// What a transition did to an alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub alert: Alert,
    /// What the event says happened.
    pub event: &'static str,
    /// The condition began or worsened: plans are asked.
    pub rose: bool,
}

/// The live alerts by rule and subject.
#[derive(Debug, Default)]
pub(crate) struct Book {
    live: HashMap<(Name, Name), Alert>,
    /// Closed by force while their condition holds, and a newer has taken their place; by number.
    displaced: BTreeMap<i64, Alert>,
}

impl Book {
    pub fn get(&self, rule: Name, subject: Name) -> Option<&Alert> {
        self.live.get(&(rule, subject))
    }

    /// All of that rule and subject, also those whose place a newer has taken.
    pub fn of(&self, rule: Name, subject: Name) -> impl Iterator<Item = &Alert> {
        let displaced = self.displaced.values();
        displaced
            .filter(move |alert| alert.rule == rule && alert.subject == subject)
            .chain(self.get(rule, subject))
    }

    /// Follows a committed change; answers what stood there before.
    pub fn put(&mut self, alert: Alert) -> Option<Alert> {
        let key = (alert.rule, alert.subject);
        // an older closed alert must not push out the one that has taken its place
        if self.live.get(&key).is_some_and(|held| held.id > alert.id) {
            let before = self.displaced.remove(&alert.id);
            if alert.is_live() {
                self.displaced.insert(alert.id, alert);
            }
            return before;
        }
        if !alert.is_live() {
            return self.live.remove(&key);
        }
        let id = alert.id;
        let before = self.live.insert(key, alert)?;
        if before.id == id {
            return Some(before);
        }
        self.displaced.insert(before.id, before);
        None
    }

    /// Those whose warning has lapsed, by number.
    pub fn lapsed(&self, now: Time) -> impl Iterator<Item = &Alert> {
        let mut lapsed: Vec<&Alert> = self.iter().filter(|alert| alert.has_lapsed(now)).collect();
        lapsed.sort_by_key(|alert| alert.id);
        lapsed.into_iter()
    }

    /// Also those whose place a newer has taken.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.displaced.values().chain(self.live.values())
    }
}

/// The rule has left its shadow: what holds now becomes an alert as if it had been raised now. `None` if there is
/// nothing for people in it, or they have it already.
pub(crate) fn step_out(alert: &Alert, rule: &RuleInfo) -> Option<Alert> {
    let dark = alert.shadow && alert.is_open() && alert.condition == Condition::Active;
    dark.then(|| Alert {
        version: alert.version + 1,
        shadow: false,
        needs_attention: true,
        title: rule.name.clone(),
        hazard: rule.hazard,
        advice: rule.advice.clone(),
        source: rule.source.clone(),
        plan: rule.plan,
        ..alert.clone()
    })
}

/// What `change` does; `None` if nothing. `next_id` is the number of a new alert, `wall` the wall clock.
pub(crate) fn step(
    current: Option<&Alert>,
    change: &Change,
    next_id: i64,
    wall: Time,
) -> Option<Step> {
    let Transition {
        kind, level, time, ..
    } = change.transition;
    match (kind, current) {
        (TransitionKind::Clear, None) => None,
        (TransitionKind::Clear, Some(alert)) => {
            let unwatched = change.transition.unwatched;
            (alert.condition == Condition::Active).then(|| {
                if unwatched {
                    let value = change.transition.value;
                    unwatch(
                        Alert {
                            value,
                            ..alert.clone()
                        },
                        time,
                    )
                } else {
                    clear(alert.clone(), change)
                }
            })
        }
        (_, None) => Some(raise(change, next_id, wall)),
        (_, Some(alert)) if !alert.is_open() => {
            if kind == TransitionKind::Raise || level > alert.worst {
                Some(raise(change, next_id, wall))
            } else {
                Some(relevel(alert.clone(), change))
            }
        }
        (_, Some(alert)) if alert.condition == Condition::Recovered => {
            Some(reopen(alert.clone(), change, time))
        }
        (_, Some(alert)) if alert.condition == Condition::Unwatched => {
            Some(go_on(alert.clone(), change))
        }
        (_, Some(alert)) => Some(relevel(alert.clone(), change)),
    }
}

fn raise(change: &Change, id: i64, wall: Time) -> Step {
    let Change {
        transition,
        rule,
        sensor,
        rule_version,
    } = change;
    let shadow = rule.mode == Mode::Shadow;
    let sensor = sensor.as_deref();
    let alert = Alert {
        id,
        version: 1,
        rule: transition.rule,
        subject: transition.subject,
        hazard: rule.hazard,
        level: transition.level,
        worst: transition.level,
        value: transition.value,
        condition: Condition::Active,
        handling: Handling::New,
        rule_version: *rule_version,
        shadow,
        needs_attention: !shadow,
        raised_at: transition.time,
        active_since: transition.time,
        recorded_at: wall,
        changed_at: transition.time,
        cleared_at: None,
        closed_at: None,
        spells: 1,
        acknowledged_level: None,
        acknowledged_by: None,
        verdict: None,
        assignee: None,
        note: String::new(),
        warning: None,
        warned: None,
        warned_until: None,
        title: rule.name.clone(),
        subject_name: sensor.map(|sensor| sensor.name.clone()).unwrap_or_default(),
        place: sensor.and_then(|sensor| sensor.place),
        zone: sensor.and_then(|sensor| sensor.zone),
        measurement: rule.measurement,
        unit: rule.unit,
        advice: rule.advice.clone(),
        source: rule.source.clone(),
        plan: rule.plan,
    };
    Step {
        alert,
        event: "raised",
        rose: true,
    }
}

fn clear(mut alert: Alert, change: &Change) -> Step {
    alert.version += 1;
    alert.condition = Condition::Recovered;
    alert.value = change.transition.value;
    alert.changed_at = change.transition.time;
    alert.cleared_at = Some(change.transition.time);
    Step {
        alert,
        event: "recovered",
        rose: false,
    }
}

/// Nobody watches any more. Not recovered: whether the danger is over is for a person to find out.
pub(crate) fn unwatch(mut alert: Alert, at: Time) -> Step {
    alert.version += 1;
    alert.condition = Condition::Unwatched;
    alert.changed_at = at;
    alert.needs_attention |= alert.is_open() && !alert.shadow;
    Step {
        alert,
        event: "unwatched",
        rose: false,
    }
}

/// The rule watches again and sees a level: the same spell, as far as anybody knows.
fn go_on(mut alert: Alert, change: &Change) -> Step {
    if change.rule.mode == Mode::Live {
        alert.needs_attention |= alert.shadow;
        alert.shadow = false;
    }
    alert.condition = Condition::Active;
    Step {
        event: "reopened",
        rose: true,
        ..relevel(alert, change)
    }
}

fn reopen(mut alert: Alert, change: &Change, time: Time) -> Step {
    let calm = alert.cleared_at.map_or(FLAP, |cleared| time.since(cleared));
    if change.rule.mode == Mode::Live {
        alert.needs_attention |= calm >= FLAP || alert.shadow;
        alert.shadow = false;
    }
    alert.condition = Condition::Active;
    alert.cleared_at = None;
    alert.active_since = time;
    alert.spells = alert.spells.saturating_add(1);
    Step {
        event: "reopened",
        rose: true,
        ..relevel(alert, change)
    }
}

fn relevel(mut alert: Alert, change: &Change) -> Step {
    let Change {
        transition,
        rule,
        sensor,
        ..
    } = change;
    let rose = transition.level > alert.level;
    alert.version += 1;
    alert.level = transition.level;
    alert.worst = alert.worst.max(transition.level);
    alert.value = transition.value;
    alert.changed_at = transition.time;
    alert.needs_attention |= alert.is_open()
        && !alert.shadow
        && alert
            .acknowledged_level
            .is_some_and(|seen| transition.level > seen);
    // rules and the registry may have changed since the alert was raised
    alert.title.clone_from(&rule.name);
    alert.hazard = rule.hazard;
    alert.advice.clone_from(&rule.advice);
    alert.source.clone_from(&rule.source);
    alert.plan = rule.plan;
    alert.measurement = rule.measurement;
    alert.unit = rule.unit;
    if let Some(sensor) = sensor {
        alert.subject_name.clone_from(&sensor.name);
        alert.place = sensor.place;
        alert.zone = sensor.zone;
    }
    Step {
        alert,
        event: "changed",
        rose,
    }
}
