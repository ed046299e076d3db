//! Where alerts come from: hazards, and the sensors and rules that raise the most. They are what a district
//! repairs or retunes first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use citywatch_model::{Name, Registry, RuleInfo, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::Alert;
use super::load::shares;
use super::report::{ByLevel, RuleShare, label};

/// How many sensors and rules are named.
const NAMED: usize = 10;

/// Alerts of one hazard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HazardAlerts {
    /// The hazard; empty for rules that name none.
    #[schema(value_type = String)]
    pub hazard: Name,
    /// Its alerts by the worst level that they reached.
    pub alerts: ByLevel,
}

/// A sensor with many alerts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NoisySensor {
    /// The sensor.
    #[schema(value_type = String)]
    pub sensor: Name,
    /// For people; empty if the registry gives none.
    pub name: String,
    /// Its alerts.
    pub alerts: u64,
    /// Their share of all alerts, 0 to 1.
    pub share: f64,
    /// The rule that most of them came from.
    pub noisiest_rule: RuleShare,
}

/// A rule with many alerts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NoisyRule {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// For people.
    pub name: Text,
    /// Its alerts.
    pub alerts: u64,
    /// Their share of all alerts, 0 to 1.
    pub share: f64,
    /// Sensors that they were about.
    pub sensors: u64,
    /// Those that were over within a minute.
    pub short: u64,
    /// Those that were open when the data ended.
    pub open_at_end: u64,
}

/// Rules by their id, as far as reports quote them.
pub type RuleNames<'a> = BTreeMap<Name, &'a RuleInfo>;

pub fn hazards(alerts: &[Alert], rules: &RuleNames<'_>) -> Vec<HazardAlerts> {
    let mut hazards: BTreeMap<Name, ByLevel> = BTreeMap::new();
    for alert in alerts {
        let hazard = rules.get(&alert.rule).map(|rule| rule.hazard);
        hazards
            .entry(hazard.unwrap_or_default())
            .or_default()
            .add(alert.worst);
    }
    hazards
        .into_iter()
        .map(|(hazard, alerts)| HazardAlerts { hazard, alerts })
        .collect()
}

pub fn noisy_sensors(alerts: &[Alert], registry: &Registry) -> Vec<NoisySensor> {
    let noisiest = noisiest(alerts, |alert| alert.subject).into_iter();
    noisiest
        .filter_map(|(sensor, own)| {
            let known = registry.sensors.get(&sensor);
            Some(NoisySensor {
                sensor,
                name: known.map(|known| known.name.clone()).unwrap_or_default(),
                alerts: own.len() as u64,
                share: own.len() as f64 / alerts.len() as f64,
                noisiest_rule: shares(own).into_iter().next()?,
            })
        })
        .collect()
}

pub fn noisy_rules(alerts: &[Alert], rules: &RuleNames<'_>) -> Vec<NoisyRule> {
    let noisiest = noisiest(alerts, |alert| alert.rule).into_iter();
    noisiest
        .map(|(rule, own)| {
            let mut sensors: Vec<Name> = own.iter().map(|alert| alert.subject).collect();
            sensors.sort_unstable();
            sensors.dedup();
            let open = own.iter().filter(|alert| alert.cleared.is_none());
            NoisyRule {
                rule,
                name: rules
                    .get(&rule)
                    .map_or_else(|| Text::same(&rule), |info| label(&info.name, rule)),
                alerts: own.len() as u64,
                share: own.len() as f64 / alerts.len() as f64,
                sensors: sensors.len() as u64,
                short: own.iter().filter(|alert| alert.is_short()).count() as u64,
                open_at_end: open.count() as u64,
            }
        })
        .collect()
}

/// The keys with the most alerts, the noisiest first, then by name.
fn noisiest(alerts: &[Alert], key: impl Fn(&Alert) -> Name) -> Vec<(Name, Vec<&Alert>)> {
    let mut groups: BTreeMap<Name, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        groups.entry(key(alert)).or_default().push(alert);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, alerts)| Reverse(alerts.len()));
    groups.truncate(NAMED);
    groups
}
