//! Which rules look at a record, and in which order. Rules without `age` come first, because an alert that
//! they open may change the interval that `age` is compared with.

use std::collections::BTreeSet;

use citywatch_model::{Observation, Time, Transition, TransitionKind};

use super::bound::Bound;
use super::core::{Core, Role};
use super::counts::UnitError;
use super::evaluate::{AgeBase, Surroundings};
use super::profile::Limits;
use super::program::Program;
use super::remote::converted;

/// Which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that do not name `age`.
    Plain,
    /// Those that do.
    Aged,
}

impl Which {
    fn holds(self, bound: &Bound) -> bool {
        match self {
            Which::All => true,
            Which::Plain => bound.watch.is_none(),
            Which::Aged => bound.watch.is_some(),
        }
    }
}

impl Core {
    /// Evaluates the rules at a sensor that name what this step brought there.
    #[inline]
    pub(super) fn evaluate_touched(&mut self, place: u32, which: Which, out: &mut Vec<Transition>) {
        for bound in 0..self.sensors[place as usize].bounds.len() {
            let sensor = &self.sensors[place as usize];
            let state = &sensor.bounds[bound];
            if which.holds(state)
                && state.touched(&sensor.series, self.step)
                && state.evaluated != self.step
            {
                self.evaluate(place, bound, out);
            }
        }
        if which != Which::Aged && self.has_alarm_interval(place) {
            self.settle_interval(place);
        }
    }

    /// Evaluates the programs at `slots` at all their sensors, except where this step has done so already.
    pub(super) fn evaluate_readers(
        &mut self,
        slots: &BTreeSet<u32>,
        which: Which,
        out: &mut Vec<Transition>,
    ) {
        for slot in slots {
            let Some(program) = &self.programs[*slot as usize] else {
                continue;
            };
            for place in program.subjects.clone() {
                self.evaluate_once(place, *slot, which, out);
                if which != Which::Aged {
                    self.settle_interval(place);
                }
            }
        }
    }

    /// Evaluates the program at `slot` at a sensor, unless this step has done so already.
    pub(super) fn evaluate_once(
        &mut self,
        place: u32,
        slot: u32,
        which: Which,
        out: &mut Vec<Transition>,
    ) {
        let bounds = &self.sensors[place as usize].bounds;
        let waiting = bounds.iter().position(|bound| {
            bound.slot == slot && bound.evaluated != self.step && which.holds(bound)
        });
        if let Some(bound) = waiting {
            self.evaluate(place, bound, out);
        }
    }

    #[inline]
    fn evaluate(&mut self, place: u32, bound_place: usize, out: &mut Vec<Transition>) {
        self.judge((place, bound_place), false, self.clock, out);
        let state = &self.sensors[place as usize].bounds[bound_place];
        if state.watch.is_some() {
            self.schedule(place, bound_place);
        }
    }

    /// Evaluates one rule at one sensor at `clock`, because of a record or of a `moment`.
    #[inline]
    pub(super) fn judge(
        &mut self,
        (place, bound_place): (u32, usize),
        moment: bool,
        clock: Time,
        out: &mut Vec<Transition>,
    ) {
        let slot = self.sensors[place as usize].bounds[bound_place].slot as usize;
        let looked_around;
        let groups = match &self.programs[slot] {
            Some(program) if !program.judges() => return,
            Some(program) if !program.groups.is_empty() => {
                looked_around = self.group_values(place, bound_place, clock);
                &looked_around[..]
            }
            _ => &[],
        };
        let sensor = &mut self.sensors[place as usize];
        let Some(program) = &self.programs[slot] else {
            return;
        };
        let bound = &sensor.bounds[bound_place];
        let age = if program.uses_age {
            sensor.age_base(bound, self.resumed)
        } else {
            AgeBase::unasked(sensor.interval_ms)
        };
        let bound = &mut sensor.bounds[bound_place];
        let around = Surroundings {
            program,
            series: &mut sensor.series,
            remotes: &self.remotes.list,
            groups,
            step: self.step,
            clock,
            moment,
            age,
            stale_ms: sensor.profile.limits.stale_ms,
        };
        if let Some(what) = bound.evaluate(around) {
            // it may have run on only because its alert was open
            if what.0 == TransitionKind::Clear && bound.inputs.first() == Some(&None) {
                self.over.push(place);
            }
            let at = (clock, self.position);
            out.push(bound.transition(what, program.id, sensor.id, at, &sensor.series));
        }
    }

    /// Computes what the program at `slot` is for at a sensor, if it runs there; `None` also if unknown.
    pub(super) fn measure(&mut self, place: u32, bound_place: usize) -> Option<f64> {
        let sensor = &mut self.sensors[place as usize];
        let age = sensor.age_base(&sensor.bounds[bound_place], self.resumed);
        let bound = &mut sensor.bounds[bound_place];
        let program = self.programs[bound.slot as usize].as_ref()?;
        bound.measure(Surroundings {
            program,
            series: &mut sensor.series,
            remotes: &self.remotes.list,
            groups: &[],
            step: self.step,
            clock: self.clock,
            moment: false,
            age,
            stale_ms: sensor.profile.limits.stale_ms,
        })
    }

    /// Whether the sensor reports faster while an alert of it is open.
    #[inline]
    pub(super) fn has_alarm_interval(&self, place: u32) -> bool {
        let profile = &self.sensors[place as usize].profile;
        profile.has_alarm_interval
    }

    /// Finds out how often the sensor should speak now. Where that changes, rules that hang on it are looked at
    /// anew when the clock passes this point.
    pub(super) fn settle_interval(&mut self, place: u32) {
        let sensor = &mut self.sensors[place as usize];
        if self.role == Role::First && sensor.profile.has_alarm_interval {
            let alarms = |bound: &Bound| bound.level.is_some() && bound.watch.is_none();
            sensor.alarmed = sensor.bounds.iter().any(alarms);
        }
        let interval_ms = sensor.profile.interval_ms(sensor.alarmed);
        if interval_ms == sensor.interval_ms {
            return;
        }
        sensor.interval_ms = interval_ms;
        for bound in 0..sensor.bounds.len() {
            let state = &mut self.sensors[place as usize].bounds[bound];
            let hangs = self.programs[state.slot as usize]
                .as_ref()
                .is_some_and(Program::uses_interval);
            if let (true, Some(watch)) = (hangs, &mut state.watch) {
                (watch.floor, watch.again) = (self.clock, Some(self.clock));
                self.schedule(place, bound);
            }
        }
    }

    /// Takes in what rules name remotely; the programs that name something new.
    pub(super) fn observe_remote(&mut self, observation: &Observation) -> BTreeSet<u32> {
        let limits = self
            .limits
            .get(&observation.sensor)
            .copied()
            .unwrap_or_default();
        if self.follows(observation.sensor) {
            self.count_remote_units(observation, limits);
        }
        let changed = self.remotes.observe(observation, limits, self.step);
        changed
            .iter()
            .flat_map(|place| &self.remotes.list[*place].readers)
            .copied()
            .collect()
    }

    fn count_remote_units(&mut self, observation: &Observation, limits: Limits) {
        for value in observation
            .values
            .iter()
            .filter(|value| limits.plausible(value.value, observation.flags))
        {
            for (readers, wanted) in self.remotes.readers(observation.sensor, value.measurement) {
                if converted(value.value, value.unit, wanted).is_some() {
                    continue;
                }
                for program in readers
                    .iter()
                    .filter_map(|slot| self.programs[*slot as usize].as_ref())
                {
                    self.tally.unit_error(&UnitError {
                        rule: program.id,
                        sensor: observation.sensor,
                        measurement: value.measurement,
                        unit: value.unit,
                        wanted,
                        times: 1,
                        time: observation.time,
                        position: self.position,
                    });
                }
            }
        }
    }
}
