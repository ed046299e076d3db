//! What the sensors around one of them come to: the values of `near`, `zone` and `count_near`, and which rules
//! a reading touches as part of them.

use citywatch_model::Time;

use super::core::Core;
use super::evaluate::{GroupValue, holds};
use super::program::Task;
use super::truth::known;
use crate::ast::{Aggregate, Reach};

impl Core {
    /// What the groups come to that a rule at a sensor names.
    pub(super) fn group_values(
        &mut self,
        place: u32,
        bound_place: usize,
        clock: Time,
    ) -> Vec<GroupValue> {
        let slot = self.sensors[place as usize].bounds[bound_place].slot;
        let program = self.programs[slot as usize].as_ref();
        let count = program.map_or(0, |program| program.groups.len());
        (0..count)
            .map(|group| self.group_value(place, slot, group, clock))
            .collect()
    }

    fn group_value(&mut self, place: u32, slot: u32, group: usize, clock: Time) -> GroupValue {
        let Some(program) = &self.programs[slot as usize] else {
            return GroupValue::default();
        };
        let (slot, group) = (program.group_slots[group], &program.groups[group]);
        let profile = &self.sensors[place as usize].profile;
        match (group.reach, profile.details.zone) {
            (Reach::Near(metres), _) if profile.details.place.is_some() => {
                let members = self.ground.near(&self.sensors, place, metres);
                self.came_to(&members, slot, group.aggregate, clock)
            }
            (Reach::Zone, Some(zone)) => {
                let aggregate = group.aggregate;
                if let Some((step, at, value)) = self.ground.came_to.get(&(slot, zone))
                    && (*step, *at) == (self.step, clock)
                {
                    return *value;
                }
                let members = self.ground.inside(&self.sensors, &self.zones, zone);
                let value = self.came_to(&members, slot, aggregate, clock);
                let entry = (self.step, clock, value);
                self.ground.came_to.insert((slot, zone), entry);
                value
            }
            // it is not known who is around
            (Reach::Near(_) | Reach::Zone, _) => GroupValue::default(),
        }
    }

    fn came_to(&self, members: &[u32], slot: u32, aggregate: Aggregate, clock: Time) -> GroupValue {
        let mut group = GroupValue::default();
        let mut taken = Taken::default();
        for place in members {
            let sensor = &self.sensors[*place as usize];
            let Some(bound) = sensor.bounds.iter().find(|bound| bound.slot == slot) else {
                continue;
            };
            let Some((own, newest)) = bound
                .own(&sensor.series)
                .and_then(|series| Some((series, series.newest?)))
            else {
                continue;
            };
            group.newest = group.newest.max(Some(newest));
            group.fresh |= own.fresh == self.step;
            let current = clock.since(newest).millis() <= sensor.profile.limits.stale_ms;
            if let (true, Some(amount)) = (current, bound.amount()) {
                taken.add(amount, aggregate);
            }
        }
        group.value = taken.value(aggregate);
        group
    }

    /// Brings contributions of a sensor up to date with what this step brought, late readings too.
    pub(super) fn contribute(&mut self, place: u32) {
        for bound in 0..self.sensors[place as usize].bounds.len() {
            let slot = self.sensors[place as usize].bounds[bound].slot;
            let program = self.programs[slot as usize].as_ref();
            if program.is_some_and(|program| matches!(program.task, Task::Contribute(..))) {
                self.measure(place, bound);
            }
        }
    }

    /// The rules, with the sensors at which they run, that a new reading of the sensor at `place` touches as
    /// part of a group.
    pub(super) fn touched_around(&mut self, place: u32) -> Vec<(u32, u32)> {
        let mut touched = Vec::new();
        for bound in 0..self.sensors[place as usize].bounds.len() {
            let sensor = &self.sensors[place as usize];
            let state = &sensor.bounds[bound];
            let Some(program) = &self.programs[state.slot as usize] else {
                continue;
            };
            let Task::Contribute(_, group) = &program.task else {
                continue;
            };
            if !state.touched(&sensor.series, self.step) {
                continue;
            }
            let owner = program.owner;
            let (sensors, zones) = (&self.sensors, &self.zones);
            match (group.reach, sensor.profile.details.zone) {
                (Reach::Near(metres), _) => {
                    let subjects = self.ground.near(sensors, place, metres);
                    touched.extend(subjects.iter().map(|subject| (*subject, owner)));
                }
                (Reach::Zone, Some(own)) => {
                    for zone in zones.around(own) {
                        let subjects = self.ground.directly_in(sensors, zones, zone);
                        touched.extend(subjects.iter().map(|subject| (*subject, owner)));
                    }
                }
                (Reach::Zone, None) => {}
            }
        }
        touched
    }
}

/// Contributions, taken together.
#[derive(Debug, Default)]
struct Taken {
    count: u32,
    sum: f64,
    least: Option<f64>,
    greatest: Option<f64>,
}

impl Taken {
    fn add(&mut self, amount: f64, aggregate: Aggregate) {
        if let Aggregate::Count(operator, limit) = aggregate {
            self.count += u32::from(holds(operator, amount, limit));
            return;
        }
        self.count += 1;
        self.sum += amount;
        self.least = Some(self.least.map_or(amount, |least| least.min(amount)));
        self.greatest = Some(
            self.greatest
                .map_or(amount, |greatest| greatest.max(amount)),
        );
    }

    fn value(&self, aggregate: Aggregate) -> Option<f64> {
        match aggregate {
            Aggregate::Count(..) => Some(self.count.into()),
            Aggregate::Sum => known(self.sum),
            Aggregate::Mean if self.count == 0 => None,
            Aggregate::Mean => known(self.sum / f64::from(self.count)),
            Aggregate::Min => self.least,
            Aggregate::Max => self.greatest,
        }
    }
}

/// `aggregate` of `amounts`.
pub(super) fn aggregated(aggregate: Aggregate, amounts: impl Iterator<Item = f64>) -> Option<f64> {
    let mut taken = Taken::default();
    amounts.for_each(|amount| taken.add(amount, aggregate));
    taken.value(aggregate)
}
