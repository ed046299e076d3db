//! Makes the score: which alerts touch which events, and what became of each event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use citywatch_model::{Duration, Name, Time};

use super::{EventScore, Outcome, RuleScore, Score};
use crate::backtest::alerts::Alert;
use crate::backtest::labels::{Event, Labels};
use crate::backtest::report::Spread;
use crate::backtest::seen::Seen;

/// Seconds of a year of 365.25 days.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// Everything that a score is made of.
pub struct Evidence<'a> {
    pub labels: &'a Labels,
    /// Alerts of the rules under test.
    pub alerts: &'a [Alert],
    /// Alerts of their plain thresholds, under the same ids.
    pub plain: &'a [Alert],
    pub plain_thresholds: usize,
    /// The measurement of each rule.
    pub measurements: &'a HashMap<Name, Name>,
    pub seen: &'a Seen,
}

/// Scores the alerts of the rules under test.
pub fn score(evidence: &Evidence<'_>) -> Score {
    let Evidence {
        labels,
        alerts,
        seen,
        ..
    } = evidence;
    let inside: Vec<bool> = (labels.events.iter())
        .map(|event| within_data(labels, seen, event))
        .collect();
    let mut tallies = Tallies::default();
    let mut answers: Vec<Vec<&Alert>> = vec![Vec::new(); labels.events.len()];
    for alert in *alerts {
        let touched = touched(labels, alert);
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

impl Evidence<'_> {
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
        let own = self.plain.iter().filter(|plain| {
            event.sensor.is_none_or(|sensor| sensor == plain.subject)
                && plain.touches(event.start, end)
        });
        own.filter_map(|plain| {
            if plain.raised >= event.start {
                return Some(plain.raised);
            }
            // beyond the threshold since before: the first reading within the event, if it is beyond it too
            let series = (plain.subject, *self.measurements.get(&plain.rule)?);
            let first = *self.seen.first[place].get(&series)?;
            plain
                .cleared
                .is_none_or(|cleared| first < cleared)
                .then_some(first)
        })
        .min()
    }
}

/// Places of the events that `alert` answers.
fn touched(labels: &Labels, alert: &Alert) -> Vec<usize> {
    let begun = alert.cleared.map_or(labels.events.len(), |cleared| {
        labels.events.partition_point(|event| event.start < cleared)
    });
    let events = labels.events[..begun].iter().enumerate();
    events
        .filter(|(_, event)| {
            event.sensor.is_none_or(|sensor| sensor == alert.subject)
                && alert.touches(event.start, labels.end(event))
        })
        .map(|(place, _)| place)
        .collect()
}

/// Whether the event could have been seen: its sensor, or any, spoke before its end and after its start.
fn within_data(labels: &Labels, seen: &Seen, event: &Event) -> bool {
    let span = match event.sensor {
        Some(sensor) => seen.sensors.get(&sensor).copied(),
        None => seen.span(),
    };
    span.is_some_and(|(first, last)| first <= labels.end(event) && last >= event.start)
}

fn sensor_years(seen: &Seen) -> f64 {
    let millis = seen.sensors.values();
    let millis: i64 = millis
        .map(|(first, last)| last.since(*first).millis())
        .sum();
    Duration::from_millis(millis).seconds() / YEAR_S
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn rate(count: u64, years: f64) -> Option<f64> {
    (years > 0.0).then(|| count as f64 / years)
}

#[derive(Default)]
struct Tally {
    alerts: u64,
    false_alarms: u64,
    answered: BTreeSet<usize>,
}

impl Tally {
    /// An alert that touches an event outside the data is no false alarm, but answers nothing.
    fn count(&mut self, touched: &[usize], inside: &[bool]) {
        self.alerts += 1;
        self.false_alarms += u64::from(touched.is_empty());
        self.answered
            .extend(touched.iter().filter(|place| inside[**place]));
    }

    fn precision(&self) -> Option<f64> {
        share(self.alerts - self.false_alarms, self.alerts)
    }
}

#[derive(Default)]
struct Tallies {
    all: Tally,
    rules: BTreeMap<Name, Tally>,
}

impl Tallies {
    fn count(&mut self, alert: &Alert, touched: &[usize], inside: &[bool]) {
        self.all.count(touched, inside);
        let own = self.rules.entry(alert.rule).or_default();
        own.count(touched, inside);
    }

    fn rules(&self, inside: u64, years: f64) -> Vec<RuleScore> {
        let rules = self.rules.iter();
        rules
            .map(|(rule, tally)| RuleScore {
                rule: *rule,
                alerts: tally.alerts,
                false_alarms: tally.false_alarms,
                false_alarms_per_sensor_year: rate(tally.false_alarms, years),
                hits: tally.answered.len() as u64,
                precision: tally.precision(),
                recall: share(tally.answered.len() as u64, inside),
            })
            .collect()
    }
}
