//! One group of one rule over the sensors within a distance: who contributes, who asks, and what the contributions
//! around each asker come to. A change of one contribution is carried over to those who can see it, so that asking
//! costs nothing; whatever cannot be carried over exactly is computed anew, in the order of ids, when it is asked
//! for. So no value hangs on the order in which it came about.

use citywatch_model::{Name, Time};

use super::around::Taken;
use super::evaluate::GroupValue;
use super::sensor::SensorState;
use super::sphere::Grid;
use crate::ast::Aggregate;

/// Neighbours that all lists of a circle hold together, 4 bytes each; beyond that they are looked for every time.
const MOST_LISTED: usize = 4_000_000;
const NOBODY: u32 = u32::MAX;

/// What a sensor adds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub amount: Option<f64>,
    /// Event time of its newest reading.
    pub newest: Option<Time>,
    /// Number of the step that brought it.
    pub fresh: u64,
    pub stale_ms: i64,
}

/// The group.
#[derive(Debug)]
pub(super) struct Circle {
    /// Slot of the rule that names it.
    pub owner: u32,
    aggregate: Aggregate,
    members: Party<Member>,
    askers: Party<Asker>,
    /// Neighbours in lists.
    listed: usize,
}

/// Sensors, numbered as they joined.
#[derive(Debug)]
struct Party<T> {
    list: Vec<T>,
    /// Number by place.
    numbers: Vec<u32>,
    grid: Grid<u32>,
}

#[derive(Debug)]
struct Member {
    place: u32,
    id: Name,
    share: Share,
}

#[derive(Debug)]
struct Asker {
    place: u32,
    /// `None`: to be computed.
    held: Option<Held>,
    /// Numbers of the members around it in the order of their ids, where that order counts.
    list: Option<Box<[u32]>>,
}

/// What the members around an asker come to.
#[derive(Debug)]
struct Held {
    taken: Taken,
    newest: Option<Time>,
    fresh: u64,
    /// Clocks at which exactly the same members are current, in milliseconds.
    from: i64,
    until: i64,
}

impl Share {
    /// Up to which clock it counts.
    fn until(&self) -> Option<i64> {
        let newest = self.newest?.millis();
        self.amount.map(|_| newest.saturating_add(self.stale_ms))
    }

    /// The amount, while it counts.
    pub(super) fn at(&self, clock_ms: i64) -> Option<f64> {
        let counts = self.until().is_some_and(|until| clock_ms <= until);
        self.amount.filter(|_| counts)
    }
}

impl<T> Party<T> {
    fn new(metres: f64) -> Party<T> {
        Party {
            list: Vec::new(),
            numbers: Vec::new(),
            grid: Grid::new(metres),
        }
    }

    fn number(&self, place: u32) -> Option<usize> {
        let number = self.numbers.get(place as usize).copied();
        number
            .filter(|number| *number != NOBODY)
            .map(|number| number as usize)
    }

    /// Takes in the sensor at `place`, unless it is there already.
    fn join(&mut self, place: u32, at: (f64, f64), one: T) -> bool {
        if self.number(place).is_some() {
            return false;
        }
        let number = self.list.len() as u32;
        if self.numbers.len() <= place as usize {
            self.numbers.resize(place as usize + 1, NOBODY);
        }
        self.numbers[place as usize] = number;
        self.list.push(one);
        self.grid.insert(at, number);
        true
    }
}

impl Circle {
    /// Nobody yet.
    pub(super) fn new(owner: u32, metres: f64, aggregate: Aggregate) -> Circle {
        Circle {
            owner,
            aggregate,
            members: Party::new(metres),
            askers: Party::new(metres),
            listed: 0,
        }
    }

    /// A sensor contributes from now on, unless it has no place on the map.
    pub(super) fn join_member(&mut self, place: u32, sensor: &SensorState, share: Share) {
        let Some(at) = sensor.profile.details.place else {
            return;
        };
        let id = sensor.id;
        if self.members.join(place, at, Member { place, id, share }) {
            let (askers, listed) = (&mut self.askers, &mut self.listed);
            askers.grid.around(at, |number| {
                let asker = &mut askers.list[number as usize];
                // what it comes to changes only with what the newcomer says
                if share.newest.is_some() {
                    asker.held = None;
                }
                *listed -= asker.list.take().map_or(0, |list| list.len());
            });
        }
    }

    /// A sensor asks from now on, unless it has no place on the map.
    pub(super) fn join_asker(&mut self, place: u32, sensor: &SensorState) {
        if let Some(at) = sensor.profile.details.place {
            let (held, list) = (None, None);
            self.askers.join(place, at, Asker { place, held, list });
        }
    }

    /// The sensor at `place` asks no more.
    pub(super) fn leave(&mut self, place: u32, sensor: &SensorState) {
        let at = sensor.profile.details.place;
        if let (Some(number), Some(at)) = (self.askers.number(place), at) {
            self.askers.grid.remove(at, number as u32);
            self.askers.numbers[place as usize] = NOBODY;
            let list = self.askers.list[number].list.take();
            self.listed -= list.map_or(0, |list| list.len());
        }
    }

    /// What the sensor at `place` contributes from now on.
    pub(super) fn update(&mut self, place: u32, at: (f64, f64), share: Share, clock: Time) {
        let Some(number) = self.members.number(place) else {
            return;
        };
        let old = std::mem::replace(&mut self.members.list[number].share, share);
        let change = Change {
            was: old.at(clock.millis()),
            is: share.at(clock.millis()),
            share,
            clock_ms: clock.millis(),
        };
        let askers = &mut self.askers;
        askers.grid.around(at, |number| {
            let asker = &mut askers.list[number as usize];
            if let Some(held) = &mut asker.held
                && asker.place != place
                && !held.follow(&change, self.aggregate)
            {
                asker.held = None;
            }
        });
    }

    /// Places of those who see what stands `at`, but for `place` itself.
    pub(super) fn askers(&self, place: u32, at: (f64, f64), mut visit: impl FnMut(u32)) {
        self.askers.grid.around(at, |number| {
            let asker = self.askers.list[number as usize].place;
            if asker != place {
                visit(asker);
            }
        });
    }

    /// What the members around the sensor at `place` come to.
    pub(super) fn value(
        &mut self,
        place: u32,
        at: (f64, f64),
        (clock, step): (Time, u64),
    ) -> GroupValue {
        let Some(number) = self.askers.number(place) else {
            return GroupValue::default();
        };
        let clock_ms = clock.millis();
        let known = |held: &Held| (held.from..=held.until).contains(&clock_ms);
        if !self.askers.list[number].held.as_ref().is_some_and(known) {
            let held = self.compute(number, at, clock_ms);
            self.askers.list[number].held = Some(held);
        }
        let held = self.askers.list[number].held.as_ref();
        held.map_or_else(GroupValue::default, |held| GroupValue {
            value: held.taken.value(self.aggregate),
            newest: held.newest,
            fresh: held.fresh == step,
        })
    }

    fn compute(&mut self, asker: usize, at: (f64, f64), clock_ms: i64) -> Held {
        let mut held = Held {
            taken: Taken::default(),
            newest: None,
            fresh: 0,
            from: clock_ms,
            until: i64::MAX,
        };
        if matches!(self.aggregate, Aggregate::Sum | Aggregate::Mean) {
            let list = self.list(asker, at);
            for number in &list {
                held.take(&self.members.list[*number as usize].share, self.aggregate);
            }
            if self.listed + list.len() <= MOST_LISTED {
                self.listed += list.len();
                self.askers.list[asker].list = Some(list);
            }
        } else {
            let place = self.askers.list[asker].place;
            self.members.grid.around(at, |number| {
                let member = &self.members.list[number as usize];
                if member.place != place {
                    held.take(&member.share, self.aggregate);
                }
            });
        }
        held
    }

    /// Numbers of the members around an asker in the order of their ids; what is held is taken out.
    fn list(&mut self, asker: usize, at: (f64, f64)) -> Box<[u32]> {
        let Asker { place, list, .. } = &mut self.askers.list[asker];
        if let Some(list) = list.take() {
            self.listed -= list.len();
            return list;
        }
        let members = &self.members;
        let mut found = Vec::new();
        members.grid.around(at, |number| {
            if members.list[number as usize].place != *place {
                found.push(number);
            }
        });
        found.sort_by_key(|number| members.list[*number as usize].id);
        found.into()
    }
}

/// How a contribution changed.
struct Change {
    /// What counted before and what counts now, at the present clock.
    was: Option<f64>,
    is: Option<f64>,
    share: Share,
    clock_ms: i64,
}

impl Held {
    /// One more member.
    fn take(&mut self, share: &Share, aggregate: Aggregate) {
        let Some(newest) = share.newest else { return };
        self.newest = self.newest.max(Some(newest));
        self.fresh = self.fresh.max(share.fresh);
        if let Some(amount) = share.at(self.from) {
            self.taken.add(amount, aggregate);
            self.until = self.until.min(share.until().unwrap_or(i64::MAX));
        }
    }

    /// Follows the change of one member; whether that was possible.
    fn follow(&mut self, change: &Change, aggregate: Aggregate) -> bool {
        if !(self.from..=self.until).contains(&change.clock_ms) {
            return false;
        }
        let same = change.was.map(f64::to_bits) == change.is.map(f64::to_bits);
        if !same && !self.taken.exchange(change.was, change.is, aggregate) {
            return false;
        }
        self.newest = self.newest.max(change.share.newest);
        self.fresh = self.fresh.max(change.share.fresh);
        if change.is.is_some() {
            self.until = self.until.min(change.share.until().unwrap_or(i64::MAX));
        }
        true
    }
}

#[cfg(test)]
mod tests;
