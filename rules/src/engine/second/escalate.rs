//! `escalate:`: where several sensors of a rule are at a level close to each other, the level is one higher
//! there. Works on the levels as the rule itself gives them, so that raising one sensor never raises the next.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Level, Name, Transition, TransitionKind};

use crate::ast::Escalate;
use crate::engine::bound::Bound;
use crate::engine::core::Core;
use crate::engine::program::Task;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer};
use crate::engine::sphere::Grid;

/// The levels of one rule.
#[derive(Debug, Clone)]
pub(super) struct Escalator {
    task: Task,
    /// The program that files the rule's measurement.
    slot: u32,
    escalate: Escalate,
    /// Unescalated.
    own: BTreeMap<Name, Level>,
    /// What has been told.
    told: BTreeMap<Name, Level>,
    /// Where those stand that have a level; `None`: to be made from `own`.
    standing: Option<Grid<Name>>,
    /// Subjects that may have got or lost a level since.
    moved: Vec<Name>,
}

/// What a step did to the subjects of escalating rules.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<Name, BTreeMap<Name, Changed>>);

/// What a step did to one subject.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changed {
    /// The value that its unescalated level came with.
    value: Option<f64>,
    /// The rule no longer watches it.
    unwatched: bool,
}

impl Changes {
    /// The unescalated level of a subject changed.
    pub(super) fn moved(&mut self, transition: &Transition) {
        let subjects = self.0.entry(transition.rule).or_default();
        let changed = Changed {
            value: transition.value,
            unwatched: transition.unwatched,
        };
        subjects.insert(transition.subject, changed);
    }

    /// A subject and its neighbours are to be looked at anew.
    pub(super) fn look_at(&mut self, rule: Name, subject: Name) {
        let subjects = self.0.entry(rule).or_default();
        subjects.entry(subject).or_default();
    }

    pub(super) fn of(&self, rule: Name) -> Option<&BTreeMap<Name, Changed>> {
        self.0.get(&rule)
    }
}

impl Escalator {
    pub(super) fn new(task: Task, slot: u32, escalate: Escalate) -> Escalator {
        Escalator {
            task,
            slot,
            escalate,
            own: BTreeMap::new(),
            told: BTreeMap::new(),
            standing: None,
            moved: Vec::new(),
        }
    }

    /// Sensors stand elsewhere.
    pub(super) fn forget_places(&mut self) {
        self.standing = None;
    }

    /// With the levels of `held`, if that was the same rule.
    pub(super) fn continuing(self, held: Escalator) -> Escalator {
        if !self.task.same(&held.task) {
            return self;
        }
        Escalator {
            own: held.own,
            told: held.told,
            ..self
        }
    }

    /// Keeps the levels.
    pub(super) fn write(&self, to: &mut Writer) {
        self.own.write(to);
        self.told.write(to);
    }

    /// Takes in levels that were kept.
    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        self.own = Kept::read(from)?;
        self.told = Kept::read(from)?;
        self.standing = None;
        Ok(())
    }

    /// Subjects that have a level.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Name> {
        self.own.keys().chain(self.told.keys()).copied()
    }

    /// Whether this step brought a reading of the rule's measurement at a subject, while anybody has a level
    /// that is to be looked at anew.
    pub(super) fn spoke(&self, core: &Core, place: u32) -> bool {
        let sensor = &core.sensors[place as usize];
        !self.own.is_empty()
            && self
                .bound(core, place)
                .and_then(|bound| bound.own(&sensor.series))
                .is_some_and(|series| series.fresh == core.step)
    }

    /// Takes in an unescalated level.
    pub(super) fn take(&mut self, transition: &Transition) {
        self.moved.push(transition.subject);
        if transition.kind == TransitionKind::Clear {
            self.own.remove(&transition.subject);
        } else {
            self.own.insert(transition.subject, transition.level);
        }
    }

    /// Looks at what changed and at the neighbours of that, and tells whose level is another one now.
    pub(super) fn settle(
        &mut self,
        core: &Core,
        changed: &BTreeMap<Name, Changed>,
        out: &mut Vec<Transition>,
    ) {
        let grid = self.grid(core);
        let mut subjects: BTreeSet<Name> = changed.keys().copied().collect();
        for subject in changed.keys() {
            if let Some(at) = on_the_map(core, *subject) {
                grid.around(at, |near| {
                    subjects.insert(near);
                });
            }
        }
        for subject in subjects {
            let new = self.level(core, &grid, subject);
            let old = self.told.get(&subject).copied();
            let (kind, level) = match (old, new) {
                (old, new) if old == new => continue,
                (None, Some(new)) => (TransitionKind::Raise, new),
                (Some(_), Some(new)) => (TransitionKind::Change, new),
                (Some(old), None) => (TransitionKind::Clear, old),
                (None, None) => continue,
            };
            match new {
                Some(new) => self.told.insert(subject, new),
                None => self.told.remove(&subject),
            };
            let Changed { value, unwatched } = changed.get(&subject).copied().unwrap_or_default();
            out.push(Transition {
                time: core.clock,
                position: core.position,
                kind,
                rule: self.task.id(),
                subject,
                level,
                value: value.or_else(|| self.value(core, subject)),
                unwatched: unwatched && new.is_none(),
            });
        }
        self.standing = Some(grid);
    }

    /// Where those stand now that have a level, taken out.
    fn grid(&mut self, core: &Core) -> Grid<Name> {
        let moved = std::mem::take(&mut self.moved);
        let stand = |grid: &mut Grid<Name>, subject: Name| {
            if let Some(at) = on_the_map(core, subject) {
                grid.remove(at, subject);
                if self.own.contains_key(&subject) {
                    grid.insert(at, subject);
                }
            }
        };
        match self.standing.take() {
            Some(mut grid) => {
                moved
                    .into_iter()
                    .for_each(|subject| stand(&mut grid, subject));
                grid
            }
            None => {
                let mut grid = Grid::new(self.escalate.within_m);
                self.own
                    .keys()
                    .for_each(|subject| stand(&mut grid, *subject));
                grid
            }
        }
    }

    /// The escalated level of a subject.
    fn level(&self, core: &Core, grid: &Grid<Name>, subject: Name) -> Option<Level> {
        let own = *self.own.get(&subject)?;
        let Some(at) = on_the_map(core, subject) else {
            return Some(own);
        };
        let mut around: Vec<Level> = Vec::new();
        grid.around(at, |other| {
            if other != subject && self.is_current(core, other) {
                around.extend(self.own.get(&other));
            }
        });
        let shared = Level::ALL.into_iter().rev().filter(|level| *level <= own);
        let enough = |level: &Level| {
            let others = around.iter().filter(|other| *other >= level).count();
            others as u64 + 1 >= self.escalate.sensors.into()
        };
        let raised = shared
            .into_iter()
            .find(enough)
            .map(|level| Level::from_rank(level.rank() + 1).unwrap_or(Level::Red));
        Some(raised.map_or(own, |raised| raised.max(own)))
    }

    /// Whether the newest reading of a neighbour is not stale.
    fn is_current(&self, core: &Core, subject: Name) -> bool {
        let Some(place) = core.places.get(&subject).copied() else {
            return false;
        };
        let sensor = &core.sensors[place as usize];
        let newest = self
            .bound(core, place)
            .and_then(|bound| bound.own(&sensor.series))
            .and_then(|series| series.newest);
        newest.is_some_and(|newest| {
            core.clock.since(newest).millis() <= sensor.profile.limits.stale_ms
        })
    }

    fn value(&self, core: &Core, subject: Name) -> Option<f64> {
        let place = *core.places.get(&subject)?;
        let series = &core.sensors[place as usize].series;
        self.bound(core, place)?.own(series).map(|own| own.value)
    }

    fn bound<'a>(&self, core: &'a Core, place: u32) -> Option<&'a Bound> {
        core.sensors[place as usize].bound(self.slot)
    }
}

/// Latitude and longitude of a sensor in degrees, if it is known.
fn on_the_map(core: &Core, sensor: Name) -> Option<(f64, f64)> {
    let place = *core.places.get(&sensor)?;
    core.sensors[place as usize].profile.details.place
}
