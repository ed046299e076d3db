//! Moments: what time alone brings, and whose silence is noticed.

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::{Name, Position, Sensor};
use citywatch_rules::ast::Rule;

use crate::engine::Reference;
use crate::levels::Life;
use crate::world::Touched;

impl Reference {
    /// Lets every moment pass that `comes`; they carry the position of the record that they come before.
    pub fn pass(&mut self, position: Position, comes: impl Fn(i64) -> bool) {
        self.position = position;
        while let Some(moment) = self.next_moment().filter(|moment| comes(*moment)) {
            let silent = self.silent_at(moment);
            self.world.clock = moment;
            let mut touched = Touched::new();
            if self
                .derivation
                .moment(&mut self.world, moment, &mut touched)
            {
                self.evaluate(&touched);
                continue;
            }
            let mut affected: Vec<(Arc<Rule>, BTreeSet<Name>)> = Vec::new();
            for (rule, subject) in silent {
                let changed = self.judge(&rule, subject, None).then_some(subject);
                affected.push((rule, changed.into_iter().collect()));
            }
            for rule in self.rules.clone() {
                let subjects = affected.iter().filter(|(one, _)| Arc::ptr_eq(one, &rule));
                let subjects = subjects
                    .flat_map(|(_, subjects)| subjects)
                    .copied()
                    .collect();
                self.escalated(&rule, &subjects, false);
            }
        }
    }

    fn next_moment(&self) -> Option<i64> {
        let silence = self
            .silences()
            .into_iter()
            .map(|(moment, _, _)| moment)
            .min();
        silence
            .into_iter()
            .chain(self.derivation.next_moment(&self.world))
            .min()
    }

    fn silent_at(&self, moment: i64) -> Vec<(Arc<Rule>, Name)> {
        let now = self
            .silences()
            .into_iter()
            .filter(|(at, _, _)| *at == moment);
        now.map(|(_, rule, subject)| (rule, subject)).collect()
    }

    /// The next moment of every rule about silence at every sensor.
    fn silences(&self) -> Vec<(i64, Arc<Rule>, Name)> {
        let mut found = Vec::new();
        let fresh = Life::default();
        for rule in self.rules.iter().filter(|rule| rule.uses_age) {
            for subject in self
                .world
                .known
                .keys()
                .copied()
                .filter(|subject| self.judges(rule, *subject))
            {
                let life = self.lives.get(&(rule.info.id, subject)).unwrap_or(&fresh);
                let moment = life.next_moment(rule, &self.sight(rule, subject, None));
                found.extend(moment.map(|moment| (moment, Arc::clone(rule), subject)));
            }
        }
        found
    }

    /// Whether the silence of a sensor that never spoke is noticed: the registry declares what it measures, or
    /// declares nothing.
    pub fn expects(&self, rule: &Rule, subject: Name) -> bool {
        let registered = self.world.registry.sensors.get(&subject);
        let declared = |sensor: &Sensor| sensor.measurements.contains(&rule.info.measurement);
        let key = (rule.info.id, subject);
        let open = self
            .lives
            .get(&key)
            .is_some_and(|life| life.level.is_some());
        open || self.expected.contains(&key) || registered.is_some_and(declared)
    }

    /// Of a sensor that declares nothing anything is expected, until it speaks of something else. An alert that is
    /// open then stays.
    pub fn expect(&mut self, spoke: Option<Name>) {
        for rule in &self.rules {
            for sensor in self.world.registry.sensors.values() {
                let key = (rule.info.id, sensor.id);
                if sensor.measurements.is_empty() && !self.world.spoke_at_all(sensor.id) {
                    self.expected.insert(key);
                }
            }
        }
        let rules = &self.rules;
        let sensors = &self.world.registry.sensors;
        self.expected.retain(|(id, subject)| {
            let rule = rules.iter().find(|rule| rule.info.id == *id);
            let declares = sensors.get(subject).map(|sensor| &sensor.measurements);
            rule.zip(declares).is_some_and(|(rule, declares)| {
                declares.is_empty() || declares.contains(&rule.info.measurement)
            })
        });
        self.expected.retain(|key| Some(key.1) != spoke);
        let rule = |id: Name| rules.iter().find(|rule| rule.info.id == id);
        let over = self.lives.iter().filter(|((id, subject), life)| {
            life.level.is_none() && rule(*id).is_some_and(|rule| !self.judges(rule, *subject))
        });
        for key in over.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.lives.remove(&key);
        }
    }
}
