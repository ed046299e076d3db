//! Which rules and which sensors are in force, as of a position of the journal.

use std::collections::HashMap;
use std::sync::Arc;

use citywatch_alerting::ledger::Change;
use citywatch_model::{Body, Name, Record, Registry, RuleInfo, RuleSource, Sensor, Transition};

/// Rules and sensors as the journal's records up to some position say. A value: a newer one replaces it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Rules in force, and those that were: a removed rule's last transitions still need its name.
    rules: HashMap<Name, Arc<RuleInfo>>,
    sensors: HashMap<Name, Arc<Sensor>>,
    /// Sources of the rules in force.
    pub sources: Arc<Vec<RuleSource>>,
    /// Registered sensors and zones.
    pub registry: Arc<Registry>,
}

impl Facts {
    /// The facts after `records`; `None` if they change nothing.
    pub fn after(&self, records: &[Record]) -> Result<Option<Arc<Facts>>, String> {
        let mut newer: Option<Facts> = None;
        for record in records {
            match &record.body {
                Body::Rules(sources) => {
                    let facts = newer.get_or_insert_with(|| self.clone());
                    let rules = citywatch_rules::compile(sources).map_err(|problems| format!("the journal holds rules that this program cannot read; start the program that wrote them\n{problems}"))?;
                    facts.rules.extend(
                        rules
                            .rules
                            .iter()
                            .map(|rule| (rule.info.id, Arc::new(rule.info.clone()))),
                    );
                    facts.sources = sources.clone();
                }
                Body::Registry(change) => {
                    let facts = newer.get_or_insert_with(|| self.clone());
                    Arc::make_mut(&mut facts.registry).apply(change);
                    for id in &change.remove {
                        facts.sensors.remove(id);
                    }
                    facts.sensors.extend(
                        change
                            .upsert
                            .iter()
                            .map(|sensor| (sensor.id, Arc::new(sensor.clone()))),
                    );
                }
                Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => {}
            }
        }
        Ok(newer.map(Arc::new))
    }

    /// Whether nothing was ever put in force.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.registry.sensors.is_empty()
    }

    /// What the ledger must know about a transition.
    pub fn explain(&self, transition: Transition) -> Change {
        let rule = self
            .rules
            .get(&transition.rule)
            .cloned()
            .unwrap_or_else(|| Arc::new(nameless(transition.rule)));
        let sensor = self.sensors.get(&transition.subject).cloned();
        Change {
            transition,
            rule,
            sensor,
        }
    }
}

/// Stands for a rule of which nothing is known: the alert must reach people all the same.
fn nameless(id: Name) -> RuleInfo {
    RuleInfo {
        id,
        name: citywatch_model::Text::same(id.as_str()),
        hazard: Name::default(),
        measurement: Name::default(),
        unit: Name::default(),
        advice: citywatch_model::Text::default(),
        source: String::new(),
        plan: None,
    }
}
