//! `escalate:` by its definition: for every subject in question the levels of all subjects around it are counted.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Level, Name};
use citywatch_rules::ast::Rule;

use crate::world::World;

#[derive(Default)]
pub struct Escalation {
    levels: BTreeMap<(Name, Name), Level>,
}

pub type Change = (Name, Option<Level>, Option<Level>);

impl Escalation {
    /// New escalated levels of the affected subjects and those around them; `plain` are the levels of the rule
    /// without escalation.
    pub fn look(
        &mut self,
        world: &World,
        rule: &Rule,
        affected: &BTreeSet<Name>,
        plain: &BTreeMap<Name, Level>,
    ) -> Vec<Change> {
        let Some(escalate) = rule.escalate else {
            return Vec::new();
        };
        let id = rule.info.id;
        let subjects = plain.keys().copied().chain(
            self.levels
                .keys()
                .filter(|key| key.0 == id)
                .map(|key| key.1),
        );
        let around = |one: &Name| {
            affected.contains(one)
                || affected.iter().any(|other| {
                    world
                        .distance(*one, *other)
                        .is_some_and(|metres| metres <= escalate.within_m)
                })
        };
        let subjects: BTreeSet<Name> = subjects.filter(around).collect();
        let mut changes = Vec::new();
        for subject in subjects {
            let after = plain
                .get(&subject)
                .map(|own| raised(world, rule, subject, *own, plain));
            let before = match after {
                Some(level) => self.levels.insert((id, subject), level),
                None => self.levels.remove(&(id, subject)),
            };
            changes.push((subject, before, after));
        }
        changes
    }
}

fn raised(
    world: &World,
    rule: &Rule,
    subject: Name,
    own: Level,
    plain: &BTreeMap<Name, Level>,
) -> Level {
    let Some(escalate) = rule.escalate else {
        return own;
    };
    let counts = |other: Name| {
        other == subject
            || world
                .distance(subject, other)
                .is_some_and(|distance| distance <= escalate.within_m)
                && world.fresh_at_clock(other, rule.info.measurement, world.clock)
    };
    if world.profile(subject).place.is_none() {
        return own;
    }
    let enough = |level: &Level| {
        let at = plain
            .iter()
            .filter(|(other, theirs)| **theirs >= *level && counts(**other))
            .count();
        at >= escalate.sensors as usize
    };
    let highest = Level::ALL
        .into_iter()
        .rev()
        .find(|level| *level <= own && enough(level));
    let lifted = highest.map(|level| Level::from_rank(level.rank() + 1).unwrap_or(Level::Red));
    lifted.map_or(own, |lifted| lifted.max(own))
}
