//! What a record brings to the second stage: its readings and the derived ones are filed, then the rules that
//! they touch are evaluated, each once.

use std::collections::BTreeSet;

use citywatch_model::{Observation, Time, Transition};
use smallvec::SmallVec;

use super::Second;
use super::escalate::Changes;
use crate::engine::judge::Which;

/// An observation that has been filed, and the place of its sensor.
#[derive(Debug)]
pub(super) struct Filed {
    pub place: u32,
    pub observation: Observation,
}

impl Second {
    /// Reads an observation, and `first`, what the first stage found in it.
    pub(super) fn observe(
        &mut self,
        observation: &Observation,
        first: Vec<Transition>,
        out: &mut Vec<Transition>,
    ) {
        let Some(part) = self.interest.part(observation) else {
            if !first.is_empty() {
                let mut changes = Changes::default();
                self.receive(first, &mut changes, out);
                self.escalate(&changes, out);
            }
            return;
        };
        let mut changes = Changes::default();
        self.receive(first, &mut changes, out);
        let mut found = Vec::new();
        self.bring(Some(part.into_owned()), None, &mut changes, &mut found);
        self.receive(found, &mut changes, out);
        self.escalate(&changes, out);
    }

    /// Files what arrived or is due at `moment`, and evaluates what that touches.
    pub(super) fn bring(
        &mut self,
        arrived: Option<Observation>,
        moment: Option<Time>,
        changes: &mut Changes,
        found: &mut Vec<Transition>,
    ) {
        let mut filed = Vec::new();
        let mut readers = BTreeSet::new();
        if let Some(observation) = arrived {
            self.file(observation, &mut filed, &mut readers, found);
        }
        let mut next = 0;
        while let Some(deriver) = self.deriver_due(next, &filed, moment) {
            next = deriver + 1;
            let made = self.derivers[deriver].make(&mut self.core, &filed, moment);
            for observation in made {
                if self.derivers[deriver].speaks_for_zones() {
                    self.core.speak_for(observation.sensor, found);
                }
                self.file(observation, &mut filed, &mut readers, found);
            }
        }
        if filed.is_empty() && readers.is_empty() {
            return;
        }
        let mut places: SmallVec<[u32; 4]> = filed.iter().map(|filed| filed.place).collect();
        places.sort_unstable();
        places.dedup();
        for (rule, escalator) in &self.escalators {
            let spoke = |place: &&u32| escalator.spoke(&self.core, **place);
            for place in places.iter().filter(spoke) {
                changes.look_at(*rule, self.core.sensors[*place as usize].id);
            }
        }
        self.evaluate(&places, &readers, found);
    }

    /// The first of the derivers from place `from` on that something filed, or the moment, concerns.
    fn deriver_due(&self, from: usize, filed: &[Filed], moment: Option<Time>) -> Option<usize> {
        if moment.is_some() {
            return (from < self.derivers.len()).then_some(from);
        }
        let values = filed.iter().flat_map(|filed| &filed.observation.values);
        let readers = values.filter_map(|value| self.derived_from.get(&value.measurement));
        let due = readers.filter_map(|places| places.iter().find(|place| **place >= from));
        due.min().copied()
    }

    fn file(
        &mut self,
        mut observation: Observation,
        filed: &mut Vec<Filed>,
        readers: &mut BTreeSet<u32>,
        found: &mut Vec<Transition>,
    ) {
        let core = &mut self.core;
        if !core.remotes.is_empty() {
            readers.extend(core.observe_remote(&observation));
        }
        // what comes again brings nothing to derived series either
        if let Some(place) = core.places.get(&observation.sensor) {
            let (sensor, time) = (&core.sensors[*place as usize], observation.time);
            observation
                .values
                .retain(|value| !sensor.knows(*value, time));
        }
        if observation.values.is_empty() {
            return;
        }
        if let Some((place, _)) = core.file(&observation, found) {
            filed.push(Filed { place, observation });
        }
    }

    fn evaluate(&mut self, places: &[u32], readers: &BTreeSet<u32>, found: &mut Vec<Transition>) {
        let core = &mut self.core;
        for place in places {
            core.contribute(*place);
        }
        for place in places {
            core.evaluate_touched(*place, Which::All, found);
        }
        core.evaluate_readers(readers, Which::All, found);
        for place in places {
            for (subject, slot) in core.touched_around(*place) {
                core.evaluate_once(subject, slot, Which::All, found);
            }
        }
        for place in places {
            core.sensors[*place as usize].trim(core.step);
        }
        core.release_over(found);
    }
}
