//! What ends and what begins when rules or the registry change.

use std::collections::BTreeMap;
use std::sync::Arc;

use citywatch_model::{Mode, Name, RegistryChange, RuleSource};
use citywatch_rules::ast::{Derive, Rule};

use crate::engine::Reference;
use crate::levels::names_interval;
use crate::world::World;

impl Reference {
    pub fn install(&mut self, sources: &[RuleSource]) {
        let set = citywatch_rules::compile(sources).unwrap_or_else(|problems| panic!("{problems}"));
        let live = set
            .rules
            .into_iter()
            .filter(|rule| rule.info.mode != Mode::Off);
        let kept = |rule: Arc<Rule>| {
            self.rules
                .iter()
                .find(|old| same(old, &rule))
                .cloned()
                .unwrap_or(rule)
        };
        let rules: Vec<Arc<Rule>> = live.map(kept).collect();
        let old = std::mem::replace(&mut self.rules, rules);
        self.leave(old, false);
        self.expect(None);
        self.derivation.install(set.derived, &self.world);
    }

    /// Ends what no longer applies; `old` are the rules that were in force.
    pub fn leave(&mut self, old: Vec<Arc<Rule>>, registry: bool) {
        for rule in old {
            let stays = self.rules.iter().any(|kept| Arc::ptr_eq(kept, &rule));
            let subjects: Vec<Name> = self
                .lives
                .keys()
                .filter(|(id, _)| *id == rule.info.id)
                .map(|(_, subject)| *subject)
                .collect();
            let mut left = BTreeMap::new();
            for subject in subjects {
                if stays && self.stays(&rule, subject) {
                    continue;
                }
                self.expected.remove(&(rule.info.id, subject));
                let life = self.lives.remove(&(rule.info.id, subject)).unwrap();
                left.insert(subject, life.level);
            }
            if rule.escalate.is_some() {
                let stay = self.lives.keys().filter(|(id, _)| *id == rule.info.id);
                let all = stay
                    .filter(|_| registry)
                    .map(|(_, subject)| *subject)
                    .chain(left.keys().copied());
                self.escalated(&rule, &all.collect(), true);
            } else {
                for (subject, level) in left {
                    self.emit(&rule, subject, (level, None), true);
                }
            }
        }
    }

    /// Where `interval` is another now, rules that name it are looked at when the clock goes on.
    pub fn reschedule(&mut self, change: &RegistryChange) {
        let interval = |world: &World, sensor: Name| {
            world
                .registry
                .sensors
                .get(&sensor)
                .map(|sensor| (sensor.interval, sensor.interval_alarm))
        };
        for rule in self
            .rules
            .clone()
            .iter()
            .filter(|rule| names_interval(rule))
        {
            for subject in change.upsert.iter().map(|sensor| sensor.id) {
                let before = interval(&self.before, subject).unwrap_or_default();
                if Some(before) != interval(&self.world, subject) && self.judges(rule, subject) {
                    self.lives.entry((rule.info.id, subject)).or_default().due = true;
                }
            }
        }
    }

    /// Whether the rule still is about the sensor; one that is now known to measure other things never was.
    pub fn stays(&self, rule: &Rule, subject: Name) -> bool {
        let measurement = rule.info.measurement;
        let other = self
            .world
            .registry
            .sensors
            .get(&subject)
            .is_some_and(|sensor| {
                !sensor.measurements.is_empty() && !sensor.measurements.contains(&measurement)
            });
        self.world.known.contains_key(&subject)
            && self.world.selected(&rule.selector, subject)
            && (self.world.spoke(subject, measurement) || !other)
    }
}

/// Whether both compute the same; what people read does not matter.
fn same(one: &Rule, other: &Rule) -> bool {
    let mut one = one.clone();
    let facts = &mut one.info;
    (facts.mode, facts.name) = (other.info.mode, other.info.name.clone());
    (facts.advice, facts.source) = (other.info.advice.clone(), other.info.source.clone());
    facts.plan = other.info.plan;
    one == *other
}

/// Likewise for series.
pub fn same_series(one: &Derive, other: &Derive) -> bool {
    one == other
}
