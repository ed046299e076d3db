//! Transitions put together to alerts: what was raised, how bad it became, and when it ended.

use std::collections::HashMap;

use citywatch_model::{Duration, Level, Name, Time, Transition, TransitionKind};

use super::report::{AlertCount, AlertLine, TransitionCount};

/// An alert that is over sooner than this chatters.
const SHORT: Duration = Duration::from_secs(60);

/// One alert of a rule at a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    pub rule: Name,
    pub subject: Name,
    pub raised: Time,
    /// `None` if it was open when the data ended.
    pub cleared: Option<Time>,
    /// The worst level that it reached.
    pub worst: Level,
}

impl Alert {
    /// Whether it was open, or raised, at some moment from `start` to `end`, both included.
    pub fn touches(&self, start: Time, end: Time) -> bool {
        self.raised <= end && self.cleared.is_none_or(|cleared| cleared > start)
    }

    pub fn is_short(&self) -> bool {
        self.cleared
            .is_some_and(|cleared| cleared.since(self.raised) < SHORT)
    }

    pub fn line(&self) -> AlertLine {
        AlertLine {
            rule: self.rule,
            subject: self.subject,
            raised: self.raised,
            cleared: self.cleared,
            level: self.worst,
        }
    }
}

/// Alerts in the order in which they were raised.
#[derive(Debug, Default)]
pub struct AlertBook {
    pub alerts: Vec<Alert>,
    pub transitions: TransitionCount,
    open: HashMap<(Name, Name), usize>,
}

impl AlertBook {
    /// Takes the next transition in the order in which the engine emits them.
    pub fn take(&mut self, transition: &Transition) {
        let key = (transition.rule, transition.subject);
        match transition.kind {
            TransitionKind::Raise => {
                self.transitions.raise += 1;
                self.open.insert(key, self.alerts.len());
                self.alerts.push(Alert {
                    rule: transition.rule,
                    subject: transition.subject,
                    raised: transition.time,
                    cleared: None,
                    worst: transition.level,
                });
            }
            TransitionKind::Change => {
                self.transitions.change += 1;
                if let Some(&place) = self.open.get(&key) {
                    let alert = &mut self.alerts[place];
                    alert.worst = alert.worst.max(transition.level);
                }
            }
            TransitionKind::Clear => {
                self.transitions.clear += 1;
                if let Some(place) = self.open.remove(&key) {
                    self.alerts[place].cleared = Some(transition.time);
                }
            }
        }
    }

    pub fn count(&self) -> AlertCount {
        AlertCount {
            total: self.alerts.len() as u64,
            open_at_end: self.open.len() as u64,
            short: self.alerts.iter().filter(|alert| alert.is_short()).count() as u64,
        }
    }
}
