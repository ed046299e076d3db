//! Which rules and which sensors are in force, as of a position of the journal.

use std::collections::HashMap;
use std::sync::Arc;

use citywatch_alerting::ledger::Change;
use citywatch_model::{
    Body, Mode, Name, Position, Record, Registry, RuleInfo, RulesInForce, Sensor, Transition,
};

/// Rules and sensors as the journal's records up to some position say. A value: a newer one replaces it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Rules in force, and those that were: a removed rule's last transitions still need its name.
    rules: HashMap<Name, Arc<RuleInfo>>,
    sensors: HashMap<Name, Arc<Sensor>>,
    /// Their versions.
    versions: HashMap<Name, i64>,
    /// The rules in force as the journal holds them.
    pub in_force: Arc<RulesInForce>,
    /// Registered sensors and zones.
    pub registry: Arc<Registry>,
}

impl Facts {
    /// The facts where exactly these rules and sensors are in force.
    pub fn of(in_force: RulesInForce, registry: Registry) -> Result<Facts, String> {
        let mut facts = Facts {
            sensors: registry
                .sensors
                .values()
                .map(|sensor| (sensor.id, Arc::new(sensor.clone())))
                .collect(),
            registry: Arc::new(registry),
            ..Facts::default()
        };
        facts.put(&Arc::new(in_force))?;
        Ok(facts)
    }

    fn put(&mut self, in_force: &Arc<RulesInForce>) -> Result<(), String> {
        let rules = citywatch_rules::compile_in_force(in_force).map_err(|problems| format!("the journal holds rules that this program cannot read; start the program that wrote them\n{problems}"))?;
        let infos = rules.rules.iter();
        self.rules
            .extend(infos.map(|rule| (rule.info.id, Arc::new(rule.info.clone()))));
        self.versions.extend(&in_force.rule_versions);
        self.in_force = Arc::clone(in_force);
        Ok(())
    }

    /// The facts after `records`; `None` if they change nothing.
    pub fn after(&self, records: &[Record]) -> Result<Option<Arc<Facts>>, String> {
        Ok(self.steps(records)?.pop().map(|(_, facts)| facts))
    }

    /// The facts after each of `records` that changes some, with its position. What a transition at that very
    /// position says is still by the facts before.
    pub fn steps(&self, records: &[Record]) -> Result<Vec<(Position, Arc<Facts>)>, String> {
        let mut steps: Vec<(Position, Arc<Facts>)> = Vec::new();
        for record in records {
            let mut facts = match &record.body {
                Body::Rules(_) | Body::Registry(_) => {
                    steps.last().map_or(self, |(_, facts)| &**facts).clone()
                }
                Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => continue,
            };
            match &record.body {
                Body::Rules(in_force) => facts.put(in_force)?,
                Body::Registry(change) => {
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
            steps.push((record.position, Arc::new(facts)));
        }
        Ok(steps)
    }

    /// The rules that were in shadow in `older` and are live now.
    pub fn lit(&self, older: &Facts) -> Vec<Arc<RuleInfo>> {
        let was_dark = |rule: &&Arc<RuleInfo>| {
            let before = older.rules.get(&rule.id);
            before.is_some_and(|before| before.mode == Mode::Shadow)
        };
        let mut lit: Vec<Arc<RuleInfo>> = self
            .rules
            .values()
            .filter(|rule| rule.mode == Mode::Live)
            .filter(was_dark)
            .cloned()
            .collect();
        lit.sort_by_key(|rule| rule.id);
        lit
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
            rule_version: self
                .versions
                .get(&transition.rule)
                .copied()
                .unwrap_or_default(),
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
        mode: Mode::Live,
    }
}
