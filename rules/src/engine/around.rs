//! What the sensors around one of them come to: the values of `near`, `zone` and `count_near`, and which rules
//! a reading touches as part of them.

use citywatch_model::{Name, Time};

use super::circle::{Circle, Share};
use super::core::Core;
use super::evaluate::{GroupValue, holds};
use super::ground::Land;
use super::program::{Program, Task};
use super::sensor::SensorState;
use super::truth::known;
use crate::ast::{Aggregate, Group, Reach};

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
        let (reach, aggregate) = (group.reach, group.aggregate);
        let details = &self.sensors[place as usize].profile.details;
        match (reach, details.place, details.zone) {
            (Reach::Near(_), Some(at), _) => {
                let step = self.step;
                self.circle(slot)
                    .map_or_else(GroupValue::default, |circle| {
                        circle.value(place, at, (clock, step))
                    })
            }
            (Reach::Zone, _, Some(zone)) => self.zone_value((slot, zone), aggregate, clock),
            // it is not known who is around
            (Reach::Near(_) | Reach::Zone, ..) => GroupValue::default(),
        }
    }

    fn zone_value(
        &mut self,
        (slot, zone): (u32, Name),
        aggregate: Aggregate,
        clock: Time,
    ) -> GroupValue {
        if let Some((step, at, value)) = self.ground.came_to.get(&(slot, zone))
            && (*step, *at) == (self.step, clock)
        {
            return *value;
        }
        let land = Land {
            sensors: &self.sensors,
            zones: &self.zones,
        };
        let mut group = GroupValue::default();
        let mut taken = Taken::default();
        for place in self.ground.inside(slot, zone, land) {
            let share = share(&self.sensors[*place as usize], slot);
            group.newest = group.newest.max(share.newest);
            group.fresh |= share.fresh == self.step && share.newest.is_some();
            if let Some(amount) = share.at(clock.millis()) {
                taken.add(amount, aggregate);
            }
        }
        group.value = taken.value(aggregate);
        let entry = (self.step, clock, group);
        self.ground.came_to.insert((slot, zone), entry);
        group
    }

    /// The circle of a program that contributes to a group over a distance.
    fn circle(&mut self, slot: u32) -> Option<&mut Circle> {
        if !self.ground.circles.contains_key(&slot) {
            let (owner, group) = contribution(self.programs[slot as usize].as_ref())?;
            let Reach::Near(metres) = group.reach else {
                return None;
            };
            let mut circle = Circle::new(owner, metres, group.aggregate);
            for (sensor, place) in self.sensors.iter().zip(0..) {
                if sensor.bound(slot).is_some() {
                    circle.join_member(place, sensor, share(sensor, slot));
                }
            }
            for (sensor, place) in self.sensors.iter().zip(0..) {
                if sensor.bound(owner).is_some() {
                    circle.join_asker(place, sensor);
                }
            }
            self.ground.circles.insert(slot, circle);
        }
        self.ground.circles.get_mut(&slot)
    }

    /// The programs at `slots` run at a sensor from now on.
    pub(super) fn join(&mut self, slots: &[u32], place: u32) {
        let land = Land {
            sensors: &self.sensors,
            zones: &self.zones,
        };
        for slot in slots {
            self.ground.join(*slot, place, land);
        }
    }

    /// Brings contributions of a sensor up to date with what this step brought, late readings too.
    pub(super) fn contribute(&mut self, place: u32) {
        for bound in 0..self.sensors[place as usize].bounds.len() {
            let slot = self.sensors[place as usize].bounds[bound].slot;
            if contribution(self.programs[slot as usize].as_ref()).is_none() {
                continue;
            }
            self.measure(place, bound);
            let sensor = &self.sensors[place as usize];
            let circle = self.ground.circles.get_mut(&slot);
            if let (Some(circle), Some(at)) = (circle, sensor.profile.details.place) {
                circle.update(place, at, share(sensor, slot), self.clock);
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
            let slot = state.slot;
            let program = self.programs[slot as usize].as_ref();
            let Some((owner, group)) = contribution(program) else {
                continue;
            };
            if !state.touched(&sensor.series, self.step) {
                continue;
            }
            let (at, zone) = (sensor.profile.details.place, sensor.profile.details.zone);
            match (group.reach, at, zone) {
                (Reach::Near(_), Some(at), _) => {
                    if let Some(circle) = self.circle(slot) {
                        circle.askers(place, at, |subject| touched.push((subject, owner)));
                    }
                }
                (Reach::Zone, _, Some(own)) => {
                    let land = Land {
                        sensors: &self.sensors,
                        zones: &self.zones,
                    };
                    for zone in land.zones.around(own) {
                        let subjects = self.ground.directly_in(owner, zone, land);
                        touched.extend(subjects.iter().map(|subject| (*subject, owner)));
                    }
                }
                (Reach::Near(_) | Reach::Zone, ..) => {}
            }
        }
        touched
    }
}

/// The rule that a program contributes to, and the group.
fn contribution(program: Option<&Program>) -> Option<(u32, &Group)> {
    let program = program?;
    match &program.task {
        Task::Contribute(_, group) => Some((program.owner, group)),
        Task::Judge(_) | Task::Follow(_) | Task::Derive(_) => None,
    }
}

/// What the program at `slot` adds at a sensor.
fn share(sensor: &SensorState, slot: u32) -> Share {
    let spoken = sensor
        .bound(slot)
        .and_then(|bound| Some((bound, bound.own(&sensor.series)?)));
    spoken.map_or_else(Share::default, |(bound, own)| Share {
        amount: bound.amount(),
        newest: own.newest,
        fresh: own.fresh,
        stale_ms: sensor.profile.limits.stale_ms,
    })
}

/// Contributions, taken together.
#[derive(Debug, Default)]
pub(super) struct Taken {
    count: u32,
    /// Sum, or extreme.
    amount: Option<f64>,
}

impl Taken {
    pub(super) fn add(&mut self, amount: f64, aggregate: Aggregate) {
        let counts = match aggregate {
            Aggregate::Count(operator, limit) => holds(operator, amount, limit),
            Aggregate::Sum | Aggregate::Mean => true,
            Aggregate::Min | Aggregate::Max => false,
        };
        self.count += u32::from(counts);
        let held = self.amount;
        self.amount = match aggregate {
            Aggregate::Count(..) => None,
            Aggregate::Sum | Aggregate::Mean => Some(held.unwrap_or(0.0) + amount),
            Aggregate::Min => Some(held.map_or(amount, |least| least.min(amount))),
            Aggregate::Max => Some(held.map_or(amount, |greatest| greatest.max(amount))),
        };
    }

    /// Puts `is` in the place of `was`; whether what comes of it is exactly what adding everything anew would give.
    pub(super) fn exchange(
        &mut self,
        was: Option<f64>,
        is: Option<f64>,
        aggregate: Aggregate,
    ) -> bool {
        // the order in which one adds up decides about the last bit
        let exact = match aggregate {
            Aggregate::Count(..) => true,
            Aggregate::Sum | Aggregate::Mean => false,
            Aggregate::Min | Aggregate::Max => was.is_none() || was != self.amount || is == was,
        };
        let beats = |is: f64| match aggregate {
            Aggregate::Min => self.amount.is_some_and(|least| is <= least),
            Aggregate::Max => self.amount.is_some_and(|greatest| is >= greatest),
            Aggregate::Count(..) | Aggregate::Sum | Aggregate::Mean => false,
        };
        if !exact && !is.is_some_and(beats) {
            return false;
        }
        if let (Some(was), Aggregate::Count(operator, limit)) = (was, aggregate) {
            self.count -= u32::from(holds(operator, was, limit));
        }
        if let Some(is) = is {
            self.add(is, aggregate);
        }
        true
    }

    pub(super) fn value(&self, aggregate: Aggregate) -> Option<f64> {
        match aggregate {
            Aggregate::Count(..) => Some(self.count.into()),
            Aggregate::Sum => known(self.amount.unwrap_or(0.0)),
            Aggregate::Mean => known(self.amount? / f64::from(self.count)),
            Aggregate::Min | Aggregate::Max => self.amount,
        }
    }
}

/// `aggregate` of `amounts`.
pub(super) fn aggregated(aggregate: Aggregate, amounts: impl Iterator<Item = f64>) -> Option<f64> {
    let mut taken = Taken::default();
    amounts.for_each(|amount| taken.add(amount, aggregate));
    taken.value(aggregate)
}
