//! Alerts against labelled events: hits, misses, false alarms per sensor-year, and what the rules gain over the
//! plain threshold. An event is hit if an alert is open or raised between its start and its end (with grace) at
//! its sensor, by a rule of its hazard; an alert that touches no event is a false alarm. Events outside the data are
//! neither hit nor missed. If every event names a hazard, alerts of other hazards are left out.

use citywatch_model::{Duration, Name, Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::Alert;
use super::labels::{Event, Labels};
use super::noise::RuleNames;
use super::report::Spread;
use super::seen::Seen;
use super::tally::{Tallies, rate, share};

/// Seconds of a year of 365.25 days.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// How the alerts meet the labelled events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Score {
    /// Labelled events.
    pub events: u64,
    /// Events that an alert answered.
    pub hits: u64,
    /// Hits that are answered only by alerts raised before the event began. An alert that stays open for long
    /// hits whatever follows, so these say little about detection.
    pub open_before: u64,
    /// Events within the data that no alert answered.
    pub misses: u64,
    /// Events outside the data, or of a sensor that did not speak then: neither hits nor misses.
    pub outside: u64,
    /// How long after its end an event may still be answered.
    pub grace: Duration,
    /// Alerts of all rules, or only of the hazards that the events name if every event names one.
    pub alerts: u64,
    /// Alerts that touch no event.
    pub false_alarms: u64,
    /// Years from the first to the last reading of each sensor, summed.
    pub sensor_years: f64,
    /// False alarms per sensor-year; absent if nothing was observed for any time.
    pub false_alarms_per_sensor_year: Option<f64>,
    /// Share of the alerts that touch an event; absent without alerts.
    pub precision: Option<f64>,
    /// Share of the events within the data that are hit; absent without such events.
    pub recall: Option<f64>,
    /// From the event's start, or from the beginning of the data if that is later, to the first alert raised within
    /// the event; over the hits that have one.
    pub delay: Option<Spread>,
    /// From the first alert raised within the event to its first reading that crosses the plain threshold; negative
    /// if the threshold came first. Over the hits that have both.
    pub lead: Option<Spread>,
    /// Rules that have a plain threshold.
    pub plain_thresholds: u64,
    /// Events within the data in which no reading crossed a plain threshold.
    pub never_crossed: u64,
    /// The same for each rule that raised an alert, by id.
    pub rules: Vec<RuleScore>,
    /// Each event, in the order of the starts.
    pub each: Vec<EventScore>,
}

/// How the alerts of one rule meet the events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleScore {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Its alerts.
    pub alerts: u64,
    /// Those that touch no event.
    pub false_alarms: u64,
    /// False alarms per sensor-year of all sensors.
    pub false_alarms_per_sensor_year: Option<f64>,
    /// Events that it answered.
    pub hits: u64,
    /// Share of its alerts that touch an event.
    pub precision: Option<f64>,
    /// Share of the events within the data that it answered.
    pub recall: Option<f64>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// An alert answered it.
    Hit,
    /// No alert did.
    Missed,
    /// It lies outside the data.
    Outside,
}

impl Outcome {
    /// `hit`, `missed` or `outside`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Missed => "missed",
            Outcome::Outside => "outside",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventScore {
    /// Its id.
    pub event: String,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its sensor; absent for any.
    #[schema(value_type = Option<String>)]
    pub sensor: Option<Name>,
    /// What became of it.
    pub outcome: Outcome,
    /// When the first alert was raised within it; absent if there is none, or only one that was open before.
    pub alerted: Option<Time>,
    /// The rule of that alert, or else of the first that was open before.
    #[schema(value_type = Option<String>)]
    pub rule: Option<Name>,
    /// The sensor of that alert.
    #[schema(value_type = Option<String>)]
    pub subject: Option<Name>,
    /// The first reading that crossed a plain threshold.
    pub crossed: Option<Time>,
    /// Seconds from the start, or from the beginning of the data if that is later, to the alert.
    pub delay_s: Option<f64>,
    /// Seconds from the alert to the crossing; negative if the threshold came first.
    pub lead_s: Option<f64>,
}

/// Everything that a score is made of.
pub struct Evidence<'a> {
    pub labels: &'a Labels,
    /// Alerts of the rules under test.
    pub alerts: &'a [Alert],
    /// Alerts of their plain thresholds, under the same ids.
    pub plain: &'a [Alert],
    pub plain_thresholds: usize,
    /// What each rule measures, and its hazard.
    pub rules: &'a RuleNames<'a>,
    pub seen: &'a Seen,
}

/// Scores the alerts of the rules under test.
pub fn score(evidence: &Evidence<'_>) -> Score {
    let Evidence { labels, seen, .. } = evidence;
    let inside: Vec<bool> = (labels.events.iter())
        .map(|event| within_data(labels, seen, event))
        .collect();
    let mut tallies = Tallies::default();
    let mut answers: Vec<Vec<&Alert>> = vec![Vec::new(); labels.events.len()];
    let alerts = evidence.judged();
    for alert in &alerts {
        let touched = evidence.touched(alert);
        tallies.count(alert, &touched, &inside);
        for place in touched {
            answers[place].push(alert);
        }
    }
    let each: Vec<EventScore> = (labels.events.iter().zip(&answers))
        .enumerate()
        .map(|(place, (event, answers))| evidence.judge(place, event, answers, inside[place]))
        .collect();
    let inside = inside.into_iter().filter(|inside| *inside).count() as u64;
    let outcome = |outcome| each.iter().filter(|event| event.outcome == outcome).count() as u64;
    let hits = outcome(Outcome::Hit);
    let times = |field: fn(&EventScore) -> Option<f64>| {
        let times = each.iter().filter_map(field);
        let times = times.map(|seconds| Duration::from_millis((seconds * 1_000.0).round() as i64));
        Spread::of(times.collect())
    };
    let years = sensor_years(seen);
    let crossed = each.iter().filter(|event| event.crossed.is_some());
    let hit = each.iter().filter(|event| event.outcome == Outcome::Hit);
    let open_before = hit.filter(|event| event.alerted.is_none());
    Score {
        events: each.len() as u64,
        hits,
        open_before: open_before.count() as u64,
        misses: outcome(Outcome::Missed),
        outside: outcome(Outcome::Outside),
        grace: labels.grace,
        alerts: alerts.len() as u64,
        false_alarms: tallies.all.false_alarms,
        sensor_years: years,
        false_alarms_per_sensor_year: rate(tallies.all.false_alarms, years),
        precision: tallies.all.precision(),
        recall: share(hits, inside),
        delay: times(|event| event.delay_s),
        lead: times(|event| event.lead_s),
        plain_thresholds: evidence.plain_thresholds as u64,
        never_crossed: inside - crossed.count() as u64,
        rules: tallies.rules(inside, years),
        each,
    }
}

impl<'a> Evidence<'a> {
    /// The alerts that the events can judge: those of other hazards say nothing about them.
    fn judged(&self) -> Vec<&'a Alert> {
        let events = &self.labels.events;
        let judges = |alert: &&Alert| {
            let mut judging = events.iter().filter(|event| self.is_of(event, alert));
            events.is_empty() || judging.next().is_some()
        };
        self.alerts.iter().filter(judges).collect()
    }

    /// Whether the hazard of `event`, if it names one, is that of the alert's rule.
    fn is_of(&self, event: &Event, alert: &Alert) -> bool {
        let own = self.rules.get(&alert.rule).map(|rule| rule.hazard);
        event.hazard.is_none_or(|hazard| own == Some(hazard))
    }

    /// Whether `alert` may answer `event`, whenever it was raised.
    fn concerns(&self, event: &Event, alert: &Alert) -> bool {
        let there = event.sensor.is_none_or(|sensor| sensor == alert.subject);
        there && self.is_of(event, alert)
    }

    /// Places of the events that `alert` answers.
    fn touched(&self, alert: &Alert) -> Vec<usize> {
        let labels = self.labels;
        let begun = alert.cleared.map_or(labels.events.len(), |cleared| {
            labels.events.partition_point(|event| event.start < cleared)
        });
        let events = labels.events[..begun].iter().enumerate();
        let answered = events.filter(|(_, event)| {
            self.concerns(event, alert) && alert.touches(event.start, labels.end(event))
        });
        answered.map(|(place, _)| place).collect()
    }

    fn judge(&self, place: usize, event: &Event, answers: &[&Alert], inside: bool) -> EventScore {
        let start = event.start;
        // alerts that were open before come last
        let first = answers.iter().min_by_key(|alert| {
            (
                alert.raised < start,
                alert.raised,
                alert.rule,
                alert.subject,
            )
        });
        let alerted = first
            .map(|alert| alert.raised)
            .filter(|raised| *raised >= start);
        let crossed = inside.then(|| self.crossed(place, event)).flatten();
        let begins = self
            .seen
            .span()
            .map_or(start, |(first, _)| start.max(first));
        EventScore {
            event: event.id.clone(),
            start,
            end: event.end,
            sensor: event.sensor,
            outcome: match (inside, first) {
                (false, _) => Outcome::Outside,
                (true, Some(_)) => Outcome::Hit,
                (true, None) => Outcome::Missed,
            },
            alerted,
            rule: first.map(|alert| alert.rule),
            subject: first.map(|alert| alert.subject),
            crossed,
            delay_s: alerted
                .filter(|_| inside)
                .map(|alerted| alerted.max(begins).since(begins).seconds()),
            lead_s: alerted
                .zip(crossed)
                .map(|(alerted, crossed)| crossed.since(alerted.max(begins)).seconds()),
        }
    }

    /// The first reading within the event that lies beyond a plain threshold.
    fn crossed(&self, place: usize, event: &Event) -> Option<Time> {
        let end = self.labels.end(event);
        let own = self
            .plain
            .iter()
            .filter(|plain| self.concerns(event, plain) && plain.touches(event.start, end));
        own.filter_map(|plain| {
            if plain.raised >= event.start {
                return Some(plain.raised);
            }
            // beyond the threshold since before: the first reading within the event, if it is beyond it too
            let series = (plain.subject, self.rules.get(&plain.rule)?.measurement);
            let first = *self.seen.first[place].get(&series)?;
            plain
                .cleared
                .is_none_or(|cleared| first < cleared)
                .then_some(first)
        })
        .min()
    }
}

/// Whether the event could have been seen: its sensor, or any, spoke before its end and after its start.
fn within_data(labels: &Labels, seen: &Seen, event: &Event) -> bool {
    let span = match event.sensor {
        Some(sensor) => seen.span_of(sensor),
        None => seen.span(),
    };
    span.is_some_and(|(first, last)| first <= labels.end(event) && last >= event.start)
}

fn sensor_years(seen: &Seen) -> f64 {
    let millis = seen.spans().map(|(first, last)| last.since(first).millis());
    let millis: i64 = millis.sum();
    Duration::from_millis(millis).seconds() / YEAR_S
}
