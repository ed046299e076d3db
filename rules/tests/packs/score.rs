//! Alerts against labelled events, as `citywatch backtest --labels` counts them: an event is hit if an alert is
//! open or raised within it at its sensor; an alert that touches no event is false.

use citywatch_model::{Level, Name, Time, Transition, TransitionKind, name};

use crate::recorded;

/// Something that really happened.
#[derive(Debug)]
pub struct Event {
    pub id: String,
    pub start: Time,
    pub end: Time,
    /// The sensor that must tell of it; `None` for any.
    pub sensor: Option<Name>,
    pub what: String,
}

/// The labels of a set.
pub fn events(set: &str) -> Vec<Event> {
    let rows = recorded::rows(&recorded::folder(set).join("labels.csv"));
    let event = |row: csv::StringRecord| Event {
        id: row[0].to_owned(),
        start: row[1].parse().unwrap(),
        end: row[2].parse().unwrap(),
        sensor: (!row[3].is_empty()).then(|| name(&row[3])),
        what: row[5].to_owned(),
    };
    rows.into_iter().map(event).collect()
}

/// An alert of one rule, with every level that it took.
#[derive(Debug)]
pub struct Alert {
    pub subject: Name,
    pub raised: Time,
    /// `None` if it is open at the end.
    pub cleared: Option<Time>,
    pub levels: Vec<(Time, Level)>,
}

impl Alert {
    pub fn touches(&self, event: &Event) -> bool {
        event.sensor.is_none_or(|sensor| sensor == self.subject)
            && self.raised <= event.end
            && self.cleared.is_none_or(|cleared| cleared > event.start)
    }

    pub fn raised_within(&self, event: &Event) -> bool {
        self.touches(event) && self.raised >= event.start
    }
}

/// The alerts of `rule`, in the order in which they were raised.
pub fn alerts(transitions: &[Transition], rule: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for transition in transitions.iter().filter(|found| found.rule == rule) {
        let own =
            |alert: &&mut Alert| alert.subject == transition.subject && alert.cleared.is_none();
        let now = (transition.time, transition.level);
        match transition.kind {
            TransitionKind::Raise => alerts.push(Alert {
                subject: transition.subject,
                raised: transition.time,
                cleared: None,
                levels: vec![now],
            }),
            TransitionKind::Change => alerts.iter_mut().find(own).unwrap().levels.push(now),
            TransitionKind::Clear => {
                alerts.iter_mut().find(own).unwrap().cleared = Some(transition.time);
            }
        }
    }
    alerts
}

/// How the alerts of one rule meet the events.
#[derive(Debug)]
pub struct Score {
    pub alerts: usize,
    pub false_alarms: usize,
    pub hits: usize,
    /// Minutes from the start of each event to the first alert raised within it, ascending.
    pub delays: Vec<i64>,
    /// Minutes from that alert to the end of the event, ascending.
    pub leads: Vec<i64>,
}

/// Scores `alerts` against `events`.
pub fn score(alerts: &[Alert], events: &[Event]) -> Score {
    let hit = |event: &&Event| alerts.iter().any(|alert| alert.touches(event));
    let stray = |alert: &&Alert| !events.iter().any(|event| alert.touches(event));
    let first = |event: &Event| {
        let within = alerts.iter().filter(|alert| alert.raised_within(event));
        within.map(|alert| alert.raised).min()
    };
    let minutes = |from: Time, to: Time| to.since(from).millis() / 60_000;
    let found = events
        .iter()
        .filter_map(|event| Some((event, first(event)?)));
    let (mut delays, mut leads): (Vec<i64>, Vec<i64>) = found
        .map(|(event, first)| (minutes(event.start, first), minutes(first, event.end)))
        .unzip();
    delays.sort_unstable();
    leads.sort_unstable();
    Score {
        alerts: alerts.len(),
        false_alarms: alerts.iter().filter(stray).count(),
        hits: events.iter().filter(hit).count(),
        delays,
        leads,
    }
}
