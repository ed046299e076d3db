//! The naive engine: walks the records one by one, asks at each what the texts say, and writes transitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use citywatch_model::{
    Body, Level, LinkState, Name, Position, Record, Time, Transition, TransitionKind,
};
use citywatch_rules::ast::Rule;

use crate::derive::Derivation;
use crate::escalate::Escalation;
use crate::levels::{Life, comparisons, conditions};
use crate::sight::{Named, Sight};
use crate::world::{Touched, World};

static NOTHING: Touched = Touched::new();

#[derive(Default)]
pub struct Reference {
    pub world: World,
    /// Rules and sensors that never spoke.
    pub expected: BTreeSet<(Name, Name)>,
    /// As it was before the newest change of the registry.
    pub before: World,
    pub rules: Vec<Arc<Rule>>,
    pub lives: BTreeMap<(Name, Name), Life>,
    pub derivation: Derivation,
    pub escalation: Escalation,
    pub position: Position,
    pub out: Vec<Transition>,
}

/// What the naive engine makes of the records; `end` is the end of the clock.
pub fn transitions(records: &[Record], end: Option<Time>) -> Vec<Transition> {
    let mut reference = Reference::default();
    for record in records {
        reference.pass(record.position, |moment| moment < record.clock.millis());
        reference.world.clock = record.clock.millis();
        reference.record(&record.body);
    }
    if let Some(end) = end {
        reference.pass(reference.position + 1, |moment| moment <= end.millis());
    }
    let mut out = reference.out;
    out.sort_by_key(|one| (one.time, one.position, one.rule, one.subject));
    out
}

impl Reference {
    fn record(&mut self, body: &Body) {
        match body {
            Body::Observation(observation) => {
                let spoke = self.world.spoke_at_all(observation.sensor);
                let mut touched = Touched::new();
                let accepted = self.world.file(observation, &mut touched);
                self.derivation
                    .observed(&mut self.world, observation, &accepted, &mut touched);
                let first = !spoke && self.world.spoke_at_all(observation.sensor);
                self.expect(Some(observation.sensor).filter(|_| first));
                self.evaluate(&touched);
            }
            Body::Tick
            | Body::Link {
                state: LinkState::Down,
                ..
            } => {}
            Body::Start
            | Body::Link {
                state: LinkState::Up,
                ..
            } => self.start(),
            Body::Registry(change) => {
                self.before = self.world.clone();
                self.world.apply(change);
                self.derivation.forget(&self.world);
                self.leave(self.rules.clone(), true);
                self.expect(None);
                self.reschedule(change);
            }
            Body::Rules(rules) => self.install(&rules.sources),
        }
    }

    fn start(&mut self) {
        self.world.moved = Some(self.world.clock);
        let mut lives = std::mem::take(&mut self.lives);
        for rule in &self.rules {
            for ((id, subject), life) in &mut lives {
                let since = self.sight(rule, *subject, None).silent_since();
                if *id == rule.info.id && since.is_none_or(|(_, heard)| !heard) {
                    life.forget_silence(rule, self.world.clock);
                }
            }
        }
        self.lives = lives;
    }

    pub fn evaluate(&mut self, touched: &Touched) {
        let mut rules = self.rules.clone();
        // whether an alert is open decides `interval`, but not where that alert looks at `age` itself
        rules.sort_by_key(|rule| rule.uses_age);
        for rule in rules {
            let seen = self.convertible(&rule, touched);
            let mut affected = BTreeSet::new();
            for subject in self.world.known.keys().copied().collect::<Vec<_>>() {
                if self.judges(&rule, subject) && self.wakes(&rule, subject, &seen) {
                    let changed = self.judge(&rule, subject, Some(&seen));
                    if changed || seen.contains(&(subject, rule.info.measurement)) {
                        affected.insert(subject);
                    }
                }
            }
            self.escalated(&rule, &affected, false);
        }
    }

    /// Readings that a rule's unit cannot take are invisible to it.
    fn convertible(&self, rule: &Rule, touched: &Touched) -> Touched {
        let visible = |(sensor, measurement): &&(Name, Name)| {
            *measurement != rule.info.measurement
                || self
                    .world
                    .readings(*sensor, *measurement)
                    .last()
                    .is_some_and(|newest| {
                        crate::world::in_unit(newest.value, newest.unit, rule.info.unit).is_some()
                    })
        };
        touched.iter().filter(visible).copied().collect()
    }

    /// Whether the rule looks at this sensor at all.
    pub fn judges(&self, rule: &Rule, subject: Name) -> bool {
        self.world.selected(&rule.selector, subject)
            && (self.world.spoke(subject, rule.info.measurement)
                || rule.uses_age && self.expects(rule, subject))
    }

    /// Whether what was touched is named by the rule.
    fn wakes(&self, rule: &Rule, subject: Name, touched: &Touched) -> bool {
        let sight = self.sight(rule, subject, Some(touched));
        let mut named = Named::default();
        for comparison in conditions(rule).flat_map(comparisons) {
            sight.gather(&comparison.left, &mut named);
            sight.gather(&comparison.right, &mut named);
        }
        named.series.insert((subject, rule.info.measurement));
        sight.is_touched(&named)
    }

    pub fn sight<'a>(
        &'a self,
        rule: &'a Rule,
        subject: Name,
        touched: Option<&'a Touched>,
    ) -> Sight<'a> {
        Sight {
            world: &self.world,
            subject,
            converted: (rule.info.measurement, rule.info.unit),
            derived: None,
            inputs: &rule.inputs,
            clock: self.world.clock,
            moment: touched.is_none(),
            touched: touched.unwrap_or(&NOTHING),
            interval: self.interval(subject),
        }
    }

    /// In seconds: what is registered, that of an alarm while a rule about values has an open level here.
    fn interval(&self, subject: Name) -> Option<f64> {
        let sensor = self.world.registry.sensors.get(&subject)?;
        let alarm = self.rules.iter().any(|rule| {
            let life = self.lives.get(&(rule.info.id, subject));
            !rule.uses_age && !rule.second_stage && life.is_some_and(|life| life.level.is_some())
        });
        let alarmed = sensor.interval_alarm.filter(|_| alarm);
        alarmed
            .or(sensor.interval)
            .map(|interval| interval.seconds())
    }

    /// A moment brings nothing. Whether the level changed. Writes the transition, unless it is for the escalation to do so.
    pub fn judge(&mut self, rule: &Arc<Rule>, subject: Name, touched: Option<&Touched>) -> bool {
        let key = (rule.info.id, subject);
        let mut life = self.lives.remove(&key).unwrap_or_default();
        let before = life.level;
        life.step(rule, &self.sight(rule, subject, touched));
        let after = life.level;
        self.lives.insert(key, life);
        if after.is_none() && !self.judges(rule, subject) {
            // it ran on only because its alert was open
            self.lives.remove(&key);
        }
        if rule.escalate.is_none() {
            self.emit(rule, subject, (before, after), false);
        }
        before != after
    }

    /// Looks anew at the escalated levels of the affected subjects and their neighbours. If rules or registry were
    /// `changed`, a level that is gone is one that nobody watches.
    pub fn escalated(&mut self, rule: &Arc<Rule>, affected: &BTreeSet<Name>, changed: bool) {
        let levels = self.lives.iter().filter(|((id, _), _)| *id == rule.info.id);
        let levels = levels
            .filter_map(|((_, subject), life)| Some((*subject, life.level?)))
            .collect();
        let changes = self.escalation.look(&self.world, rule, affected, &levels);
        for (subject, before, after) in changes {
            self.emit(rule, subject, (before, after), changed);
        }
    }

    /// The value of a sensor that is gone is the last that was known.
    pub fn emit(
        &mut self,
        rule: &Rule,
        subject: Name,
        (before, after): (Option<Level>, Option<Level>),
        changed: bool,
    ) {
        let (kind, level) = match (before, after) {
            (None, Some(level)) => (TransitionKind::Raise, level),
            (Some(level), None) => (TransitionKind::Clear, level),
            (Some(before), Some(level)) if before != level => (TransitionKind::Change, level),
            (Some(_), Some(_)) | (None, None) => return,
        };
        let gone = !self.world.known.contains_key(&subject);
        let world = if gone { &self.before } else { &self.world };
        let newest = world.newest(subject, rule.info.measurement, rule.info.unit);
        self.out.push(Transition {
            time: Time::from_millis(self.world.clock),
            position: self.position,
            kind,
            rule: rule.info.id,
            subject,
            level,
            value: newest.map(|(_, value)| value),
            unwatched: changed && after.is_none(),
        });
    }
}
