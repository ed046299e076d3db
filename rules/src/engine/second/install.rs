//! Rules, derived series and registry come into force in the second stage.

use std::sync::Arc;

use citywatch_model::{Mode, RegistryChange, Transition};

use super::Second;
use super::derive::Deriver;
use super::escalate::{Changes, Escalator};
use super::interest::Interest;
use crate::ast::RuleSet;
use crate::engine::program::Task;

impl Second {
    /// Exactly `rules` are in force. What is computed as before keeps its state.
    pub(super) fn install(
        &mut self,
        rules: &RuleSet,
        mut changes: Changes,
        out: &mut Vec<Transition>,
    ) {
        let mut found = Vec::new();
        self.interest = Interest::of(rules);
        for sensor in &mut self.core.sensors {
            sensor.forget(|measurement| self.interest.holds(measurement));
        }
        self.core.install(rules, &mut found);
        self.receive(found, &mut changes, out);
        self.escalate(&changes, out);
        let in_force = || {
            rules
                .rules
                .iter()
                .filter(|rule| rule.info.mode != Mode::Off)
        };
        let plain = in_force().filter(|rule| !rule.second_stage && !rule.uses_age);
        self.plain = plain.map(|rule| rule.info.id).collect();
        let mut old = std::mem::take(&mut self.escalators);
        for rule in in_force().filter(|rule| rule.escalate.is_some()) {
            let task = if rule.second_stage {
                Task::Judge(Arc::clone(rule))
            } else {
                Task::Follow(Arc::clone(rule))
            };
            if let (Some(slot), Some(escalate)) = (self.core.slot_of(&task), rule.escalate) {
                let escalator = Escalator::new(task, slot, escalate);
                let held = old.remove(&rule.info.id);
                let escalator = held.map_or(escalator.clone(), |held| escalator.continuing(held));
                self.escalators.insert(rule.info.id, escalator);
            }
        }
        let mut old = std::mem::take(&mut self.derivers);
        for derive in &rules.derived {
            let slot = self.core.slot_of(&Task::Derive(Arc::clone(derive)));
            let held = old.iter().position(|deriver| deriver.derive == *derive);
            let held = held.map(|place| old.swap_remove(place));
            self.derivers.push(Deriver::new(derive, slot, held));
        }
        self.derived_from.clear();
        for (place, deriver) in self.derivers.iter().enumerate() {
            for measurement in deriver.inputs(&self.core) {
                let readers = self.derived_from.entry(measurement).or_default();
                readers.push(place);
            }
        }
        self.forget_the_unselected();
    }

    /// Carries out a change of the registry, and looks at all escalated levels anew.
    pub(super) fn register(
        &mut self,
        change: &RegistryChange,
        mut changes: Changes,
        out: &mut Vec<Transition>,
    ) {
        for deriver in &mut self.derivers {
            change.remove.iter().for_each(|id| deriver.forget(*id));
        }
        let mut found = Vec::new();
        self.core.register(change, &mut found);
        for sensor in &change.upsert {
            self.tell_alarm(sensor.id);
        }
        self.receive(found, &mut changes, out);
        self.forget_the_unselected();
        for (rule, escalator) in &mut self.escalators {
            escalator.forget_places();
            for subject in escalator.subjects() {
                changes.look_at(*rule, subject);
            }
        }
        self.escalate(&changes, out);
    }

    fn forget_the_unselected(&mut self) {
        for deriver in &mut self.derivers {
            deriver.forget_the_unselected(&self.core);
        }
    }
}
