//! Counts alerts by rule: how many there were, which touch no event, which events they answer.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::Name;

use super::alerts::Alert;
use super::score::RuleScore;

/// `part` of `whole`; nothing of nothing.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// `count` a year.
pub fn rate(count: u64, years: f64) -> Option<f64> {
    (years > 0.0).then(|| count as f64 / years)
}

/// Alerts, those among them that touch no event, and the places of the events that they answer.
#[derive(Default)]
pub struct Tally {
    alerts: u64,
    pub false_alarms: u64,
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

    /// Share of the alerts that touch an event.
    pub fn precision(&self) -> Option<f64> {
        share(self.alerts - self.false_alarms, self.alerts)
    }
}

/// The tally of all rules and that of each.
#[derive(Default)]
pub struct Tallies {
    pub all: Tally,
    rules: BTreeMap<Name, Tally>,
}

impl Tallies {
    /// Counts an alert that touches the events at these places; `inside` tells which lie within the data.
    pub fn count(&mut self, alert: &Alert, touched: &[usize], inside: &[bool]) {
        self.all.count(touched, inside);
        let own = self.rules.entry(alert.rule).or_default();
        own.count(touched, inside);
    }

    /// The scores of the rules, by id; `inside` is the number of events within the data.
    pub fn rules(&self, inside: u64, years: f64) -> Vec<RuleScore> {
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
