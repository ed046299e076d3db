//! Which rule runs at which sensor. Rules and registry come into force here; a rule that leaves a sensor
//! watches it no more and says so, and everything that has not changed keeps its state.

use citywatch_model::{Name, RegistryChange, Transition, TransitionKind};
use smallvec::SmallVec;

use super::bound::Bound;
use super::core::{Core, Role};
use super::fit::{applies, lay_series, stays, tasks};
use super::profile::{Limits, Profile};
use super::program::{Program, Task};
use super::sensor::SensorState;
use crate::ast::RuleSet;

impl Core {
    /// Exactly `rules` are in force. What is computed as before keeps its state; a changed rule starts afresh
    /// over the readings that are held.
    pub(super) fn install(&mut self, rules: &RuleSet, out: &mut Vec<Transition>) {
        self.ground.forget();
        let tasks = tasks(rules, self.role);
        let kept: Vec<Option<u32>> = tasks.iter().map(|task| self.slot_of(task)).collect();
        let leaving: Vec<u32> = self
            .order
            .iter()
            .filter(|slot| !kept.contains(&Some(**slot)))
            .copied()
            .collect();
        let mut order: Vec<u32> = Vec::with_capacity(tasks.len());
        for (task, slot) in tasks.into_iter().zip(kept) {
            if let Some(program) = slot.and_then(|slot| self.programs[slot as usize].as_mut()) {
                program.task = task.clone();
            }
            order.push(slot.unwrap_or_else(|| self.add_program(task)));
        }
        let id = |slot: &u32| {
            self.programs[*slot as usize]
                .as_ref()
                .map(|program| program.id)
        };
        order.sort_by_key(id);
        let ahead = |slot: &&u32| {
            let program = self.programs[**slot as usize].as_ref();
            program.is_some_and(Program::looks_back_on_others)
        };
        self.ahead = order.iter().filter(ahead).copied().collect();
        self.order = order;
        self.join_groups();
        self.remotes
            .follow(&mut self.programs, &leaving, &self.limits);
        self.rebind_all(out);
        for slot in leaving {
            self.programs[slot as usize] = None;
        }
    }

    /// The slot in force that computes the same as `task`.
    pub(super) fn slot_of(&self, task: &Task) -> Option<u32> {
        let same = |slot: &&u32| {
            self.programs[**slot as usize]
                .as_ref()
                .is_some_and(|program| program.task.same(task))
        };
        self.order.iter().find(same).copied()
    }

    fn add_program(&mut self, task: Task) -> u32 {
        let program = Some(Program::new(task));
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

    /// Makes known to each rule who contributes to its groups, and to those whose they are.
    fn join_groups(&mut self) {
        for slot in self.order.clone() {
            let contributions: Vec<u32> = match &self.programs[slot as usize] {
                Some(Program {
                    task: Task::Judge(rule),
                    groups,
                    ..
                }) => groups
                    .iter()
                    .filter_map(|group| {
                        self.slot_of(&Task::Contribute(rule.clone(), group.clone()))
                    })
                    .collect(),
                _ => continue,
            };
            for contribution in &contributions {
                if let Some(program) = &mut self.programs[*contribution as usize] {
                    program.owner = slot;
                }
            }
            if let Some(program) = &mut self.programs[slot as usize] {
                program.group_slots = contributions;
            }
        }
    }

    /// Carries out a change of the registry.
    pub(super) fn register(&mut self, change: &RegistryChange, out: &mut Vec<Transition>) {
        self.ground.forget();
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
        if let Some(zones) = &change.zones {
            self.zones.clone_from(zones);
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
            self.sensors[place as usize].profile = self.profiled(sensor.id, Profile::of(sensor));
            self.rebind(place, out);
        }
        if change.zones.is_some() {
            self.rebind_all(out);
        }
    }

    /// A sensor that is known from now on; to be bound by the caller.
    pub(super) fn add_sensor(&mut self, id: Name, profile: Profile) -> u32 {
        let profile = self.profiled(id, profile);
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

    /// `profile`, standing in the zone that the sensor speaks for, unless it is said where it stands.
    pub(super) fn profiled(&self, id: Name, mut profile: Profile) -> Profile {
        if profile.details.zone.is_none() && self.zonal.contains(&id) {
            profile.details.zone = Some(id);
        }
        profile
    }

    /// From now on a derived series speaks for `zone`.
    pub(super) fn speak_for(&mut self, zone: Name, out: &mut Vec<Transition>) {
        if !self.zonal.insert(zone) {
            return;
        }
        self.ground.forget_zones();
        if let Some(place) = self.places.get(&zone).copied() {
            let profile = &mut self.sensors[place as usize].profile;
            profile.details.zone = profile.details.zone.or(Some(zone));
            self.rebind(place, out);
        }
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
        let mut joined: SmallVec<[u32; 8]> = SmallVec::new();
        let sensor = &self.sensors[place as usize];
        for slot in &self.order {
            let Some(program) = &mut self.programs[*slot as usize] else {
                continue;
            };
            let held = old.iter().position(|bound| bound.slot == *slot);
            let open = held.is_some_and(|held| old[held].level.is_some());
            if !(applies(program, sensor) || open && stays(program, sensor))
                || !sensor.is_selected(program, &self.zones)
            {
                continue;
            }
            if held.is_none() {
                joined.push(*slot);
            }
            bounds.push(held.map_or_else(
                || Bound::new(*slot, program, self.clock),
                |held| old.swap_remove(held),
            ));
            if program.looks_around() {
                program.subjects.insert(place);
            }
        }
        for bound in &old {
            self.end(place, bound, out);
        }
        let sensor = &mut self.sensors[place as usize];
        sensor.bounds = bounds;
        lay_series(sensor, &self.programs, &self.ahead, &self.zones);
        self.settle_interval(place);
        for bound in 0..self.sensors[place as usize].bounds.len() {
            self.schedule(place, bound);
        }
        if self.role == Role::Second {
            self.join(&joined, place);
            self.contribute(place);
        }
    }

    /// Rules that ran at a sensor only as long as their alert was open leave it. To be called at the end of each
    /// step that evaluates.
    pub(super) fn release_over(&mut self, out: &mut Vec<Transition>) {
        for place in std::mem::take(&mut self.over) {
            self.rebind(place, out);
        }
    }

    fn end_all(&mut self, place: u32, out: &mut Vec<Transition>) {
        for bound in std::mem::take(&mut self.sensors[place as usize].bounds) {
            self.end(place, &bound, out);
        }
    }

    /// The rule no longer runs at the sensor: from now on nobody knows whether its level holds.
    fn end(&mut self, place: u32, bound: &Bound, out: &mut Vec<Transition>) {
        let sensor = &self.sensors[place as usize];
        let Some(program) = &mut self.programs[bound.slot as usize] else {
            return;
        };
        program.subjects.remove(&place);
        self.ground.leave(bound.slot, place, sensor);
        if let Some(level) = bound.level {
            let what = (TransitionKind::Clear, level);
            let at = (self.clock, self.position);
            out.push(Transition {
                unwatched: true,
                ..bound.transition(what, program.id, sensor.id, at, &sensor.series)
            });
        }
    }
}
