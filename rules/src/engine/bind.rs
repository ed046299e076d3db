//! Which rule runs at which sensor. Rules and registry come into force here; a rule that leaves a sensor
//! ends its alert there, and everything that has not changed keeps its state.

use std::sync::Arc;

use citywatch_model::{Name, RegistryChange, Transition, TransitionKind};
use smallvec::SmallVec;

use super::bound::Bound;
use super::core::Core;
use super::profile::{Limits, Profile};
use super::program::Program;
use super::sensor::SensorState;
use super::series::Series;
use crate::ast::{Rule, RuleSet};

impl Core {
    /// Exactly `rules` are in force. A rule equal to one in force keeps its state; a changed one starts afresh
    /// over the readings that are held.
    pub(super) fn install(&mut self, rules: &RuleSet, out: &mut Vec<Transition>) {
        let kept: Vec<Option<u32>> = rules.rules.iter().map(|rule| self.slot_of(rule)).collect();
        let leaving: Vec<u32> = self
            .order
            .iter()
            .filter(|slot| !kept.contains(&Some(**slot)))
            .copied()
            .collect();
        let mut order: Vec<u32> = Vec::with_capacity(rules.rules.len());
        for (rule, slot) in rules.rules.iter().zip(kept) {
            order.push(slot.unwrap_or_else(|| self.add_program(rule)));
        }
        let id = |slot: &u32| {
            self.programs[*slot as usize]
                .as_ref()
                .map(|program| program.rule.info.id)
        };
        order.sort_by_key(id);
        self.order = order;
        self.remotes
            .follow(&mut self.programs, &leaving, &self.limits);
        self.rebind_all(out);
        for slot in leaving {
            self.programs[slot as usize] = None;
        }
    }

    fn slot_of(&self, rule: &Rule) -> Option<u32> {
        let same = |slot: &&u32| {
            self.programs[**slot as usize]
                .as_ref()
                .is_some_and(|program| *program.rule == *rule)
        };
        self.order.iter().find(same).copied()
    }

    fn add_program(&mut self, rule: &Arc<Rule>) -> u32 {
        let program = Some(Program::new(rule));
        match self.programs.iter().position(Option::is_none) {
            Some(slot) => {
                self.programs[slot] = program;
                slot as u32
            }
            None => {
                self.programs.push(program);
                self.programs.len() as u32 - 1
            }
        }
    }

    /// Carries out a change of the registry.
    pub(super) fn register(&mut self, change: &RegistryChange, out: &mut Vec<Transition>) {
        for id in &change.remove {
            self.limits.remove(id);
            self.remotes.relimit(*id, None);
            if let Some(place) = self.places.remove(id) {
                self.end_all(place, out);
                self.sensors[place as usize] =
                    SensorState::new(Name::default(), Profile::default(), self.clock);
                self.vacant.insert(place);
            }
        }
        if let Some(parents) = &change.zone_parents {
            self.zones.zone_parents.clone_from(parents);
        }
        for sensor in &change.upsert {
            let limits = Limits::of(sensor);
            self.limits.insert(sensor.id, limits);
            self.remotes.relimit(sensor.id, Some(limits));
            if !self.follows(sensor.id) {
                continue;
            }
            let place = match self.places.get(&sensor.id) {
                Some(place) => *place,
                None => self.add_sensor(sensor.id, Profile::default()),
            };
            self.sensors[place as usize].profile = Profile::of(sensor);
            self.rebind(place, out);
        }
        if change.zone_parents.is_some() {
            self.rebind_all(out);
        }
    }

    /// A sensor that is registered from now on; to be bound by the caller.
    pub(super) fn add_sensor(&mut self, id: Name, profile: Profile) -> u32 {
        let state = SensorState::new(id, profile, self.clock);
        let place = match self.vacant.pop_first() {
            Some(place) => {
                self.sensors[place as usize] = state;
                place
            }
            None => {
                self.sensors.push(state);
                self.sensors.len() as u32 - 1
            }
        };
        self.places.insert(id, place);
        place
    }

    fn rebind_all(&mut self, out: &mut Vec<Transition>) {
        for place in 0..self.sensors.len() as u32 {
            if !self.vacant.contains(&place) {
                self.rebind(place, out);
            }
        }
    }

    /// Decides anew which rules run at a sensor, after rules, registry or what it speaks have changed.
    pub(super) fn rebind(&mut self, place: u32, out: &mut Vec<Transition>) {
        let mut old = std::mem::take(&mut self.sensors[place as usize].bounds);
        let mut bounds = Vec::new();
        let sensor = &self.sensors[place as usize];
        for slot in &self.order {
            let Some(program) = &mut self.programs[*slot as usize] else {
                continue;
            };
            let held = old.iter().position(|bound| bound.slot == *slot);
            let open = held.is_some_and(|held| old[held].level.is_some());
            if !(applies(program, sensor) || open && stays(program, sensor))
                || !sensor
                    .profile
                    .selected_by(&program.rule, sensor.id, &self.zones)
            {
                continue;
            }
            bounds.push(held.map_or_else(
                || Bound::new(*slot, program, self.clock),
                |held| old.swap_remove(held),
            ));
            if !program.remotes.is_empty() {
                program.subjects.insert(place);
            }
        }
        for bound in &old {
            self.end(place, bound, out);
        }
        let sensor = &mut self.sensors[place as usize];
        sensor.bounds = bounds;
        lay_series(sensor, &self.programs);
        for bound in 0..self.sensors[place as usize].bounds.len() {
            self.schedule(place, bound);
        }
    }

    fn end_all(&mut self, place: u32, out: &mut Vec<Transition>) {
        for bound in std::mem::take(&mut self.sensors[place as usize].bounds) {
            self.end(place, &bound, out);
        }
    }

    /// The rule no longer runs at the sensor: its alert ends.
    fn end(&mut self, place: u32, bound: &Bound, out: &mut Vec<Transition>) {
        let sensor = &self.sensors[place as usize];
        let Some(program) = &mut self.programs[bound.slot as usize] else {
            return;
        };
        program.subjects.remove(&place);
        if let Some(level) = bound.level {
            let what = (TransitionKind::Clear, level);
            out.push(bound.transition(
                what,
                program.rule.info.id,
                sensor.id,
                (self.clock, self.position),
                &sensor.series,
            ));
        }
    }
}

/// An open alert over silence stays although the sensor turns out to speak of something else, as long as the
/// registry does not say what it measures: other data is no recovery.
fn stays(program: &Program, sensor: &SensorState) -> bool {
    program.rule.uses_age && sensor.profile.measurements.is_empty()
}

/// A rule runs where its measurement is spoken. One that names `age` also runs where it is due: where the
/// registry declares the measurement, or declares nothing and the sensor has not said a word yet.
fn applies(program: &Program, sensor: &SensorState) -> bool {
    let measurement = program.rule.info.measurement;
    let declared = &sensor.profile.measurements;
    let awaited =
        declared.contains(&measurement) || (declared.is_empty() && sensor.tracks.is_empty());
    sensor.track(measurement).is_some() || (program.rule.uses_age && awaited)
}

/// Gives each bound the series that its inputs are, keeping those that are held already.
fn lay_series(sensor: &mut SensorState, programs: &[Option<Program>]) {
    let mut old = std::mem::take(&mut sensor.series);
    let mut series: Vec<Series> = Vec::new();
    let mut widths: Vec<i64> = Vec::new();
    let mut bounds = std::mem::take(&mut sensor.bounds);
    for bound in &mut bounds {
        let Some(program) = &programs[bound.slot as usize] else {
            continue;
        };
        let mut inputs = SmallVec::new();
        for (measurement, unit) in &program.inputs {
            if sensor.track(*measurement).is_none() {
                inputs.push(None);
                continue;
            }
            let same = |series: &Series| series.measurement == *measurement && series.unit == *unit;
            let place = series.iter().position(same).unwrap_or_else(|| {
                let held = old.iter().position(same).map(|held| old.swap_remove(held));
                series.push(held.unwrap_or_else(|| sensor.open_series(*measurement, *unit)));
                widths.push(0);
                series.len() - 1
            });
            inputs.push(Some(place as u16));
        }
        for window in &program.windows {
            if let Some(place) = inputs[window.input] {
                let width: &mut i64 = &mut widths[usize::from(place)];
                *width = (*width).max(window.width_ms);
            }
        }
        bound.inputs = inputs;
    }
    sensor.bounds = bounds;
    for track in &mut sensor.tracks {
        let fed = series
            .iter()
            .enumerate()
            .filter(|(_, series)| series.measurement == track.measurement);
        track.series = fed.map(|(place, _)| place as u16).collect();
    }
    for (series, width) in series.iter_mut().zip(widths) {
        series.keep(width);
    }
    sensor.series = series;
}
