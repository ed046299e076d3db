//! The second stage: rules that see many sensors, derived series, and raising by one where several sensors
//! are at a level. One core over all sensors reads, in order, the records and what the first stage found in
//! them; only what such rules and series name is filed. Never looks ahead, so that no cut into epochs matters.
//!
//! ```text
//! record -> file -> derived series, each after what it reads, filed as well -> rules touched -> escalation
//! ```

mod bring;
mod daily;
mod derive;
mod escalate;
mod fire_weather;
mod fwi;
mod install;
mod interest;
mod joined;
mod snapshot;
mod zones;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use citywatch_model::{
    Body, LinkState, Name, Record, RulesInForce, Time, Transition, TransitionKind,
};
use ustr::UstrMap;

use self::derive::Deriver;
use self::escalate::{Changes, Escalator};
use self::interest::Interest;
use super::core::{Control, Core, Reached, Role, Share};
use super::counts::Counts;

/// What the first stage found, in order of time and position. It is taken out as the records go by.
pub(crate) type First = VecDeque<Transition>;

/// The state of the second stage.
#[derive(Debug)]
pub(crate) struct Second {
    core: Core,
    /// In the order in which they are made.
    derivers: Vec<Deriver>,
    /// By measurement, the places of the derivers that read it, ascending.
    derived_from: UstrMap<Vec<usize>>,
    /// By rule.
    escalators: BTreeMap<Name, Escalator>,
    interest: Interest,
    /// Rules of the first stage that do not name `age`.
    plain: BTreeSet<Name>,
    /// By sensor, those of them that have an open alert there.
    open: BTreeMap<Name, BTreeSet<Name>>,
    /// Texts of the rules in force, for snapshots; `None` if they came without.
    sources: Option<Arc<RulesInForce>>,
}

impl Second {
    pub(crate) fn new() -> Second {
        let mut core = Core::new(Share::WHOLE);
        core.role = Role::Second;
        Second {
            core,
            derivers: Vec::new(),
            derived_from: UstrMap::default(),
            escalators: BTreeMap::new(),
            interest: Interest::default(),
            plain: BTreeSet::new(),
            open: BTreeMap::new(),
            sources: Some(Arc::default()),
        }
    }

    /// Whether no rule and no series needs it, so that records may [pass](Second::pass) unread.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.core.order.is_empty() && self.derivers.is_empty() && self.escalators.is_empty()
    }

    /// Lets records go by, up to where the first stage has `reached`, with what it `found` in them.
    #[inline]
    pub(crate) fn pass(
        &mut self,
        reached: Reached,
        found: Vec<Transition>,
        out: &mut Vec<Transition>,
    ) {
        self.core.position = reached.position;
        self.core.clock = self.core.clock.max(reached.clock);
        self.core.resumed = self.core.resumed.max(reached.resumed);
        if !found.is_empty() {
            self.receive(found, &mut Changes::default(), out);
        }
    }

    /// Reads a record, and from `first` what the first stage found in it. What a control in it brings is left
    /// for [`control`](Second::control).
    pub(crate) fn step(&mut self, record: &Record, first: &mut First, out: &mut Vec<Transition>) {
        self.core.position = record.position;
        if record.clock > self.core.clock {
            self.fire_before(record.clock, first, out);
            self.core.clock = record.clock;
        }
        self.core.step += 1;
        match &record.body {
            Body::Observation(observation) => {
                let found = take(first, record.position, record.clock);
                self.observe(observation, found, out);
            }
            Body::Start
            | Body::Link {
                state: LinkState::Up,
                ..
            } => self.core.resume(),
            Body::Tick
            | Body::Link {
                state: LinkState::Down,
                ..
            }
            | Body::Registry(_)
            | Body::Rules(_) => {}
        }
    }

    /// Puts `control` in force, at the record that was read last; `first` begins with what that meant for the
    /// first stage.
    pub(crate) fn control(
        &mut self,
        control: &Control,
        first: &mut First,
        out: &mut Vec<Transition>,
    ) {
        self.core.step += 1;
        let mut changes = Changes::default();
        let ended = take(first, self.core.position, self.core.clock);
        self.receive(ended, &mut changes, out);
        match control {
            Control::Rules(rules, sources) => {
                self.sources.clone_from(sources);
                self.install(rules, changes, out);
            }
            Control::Registry(change) => self.register(change, changes, out),
        }
    }

    /// Fires what is due up to and including `end`, where a backtest's clock ends.
    pub(crate) fn finish(&mut self, end: Time, first: &mut First, out: &mut Vec<Transition>) {
        let last = self.core.position;
        self.core.position += 1;
        let after = Time::from_millis(end.millis().saturating_add(1));
        self.fire_before(after, first, out);
        self.core.position = last;
        self.core.clock = self.core.clock.max(end);
    }

    /// Mistakes so far that the first stage has not seen.
    pub(crate) fn counts(&self) -> Counts {
        self.core.counts().mistakes()
    }

    /// The same since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        self.core.take_counts().mistakes()
    }

    /// Fires moments before `clock`, together with what moments of the first stage meant.
    fn fire_before(&mut self, clock: Time, first: &mut First, out: &mut Vec<Transition>) {
        while let Some(time) = self.next_time(first).filter(|time| *time < clock) {
            self.core.clock = self.core.clock.max(time);
            let mut changes = Changes::default();
            let found = take(first, self.core.position, time);
            self.receive(found, &mut changes, out);
            let mut found = Vec::new();
            self.core.step += 1;
            self.bring(None, Some(time), &mut changes, &mut found);
            self.core.step += 1;
            while self.core.next_moment().is_some_and(|next| next <= time) {
                self.core.fire_next(&mut found);
            }
            self.receive(found, &mut changes, out);
            self.escalate(&changes, out);
        }
    }

    fn next_time(&self, first: &First) -> Option<Time> {
        let derived = self.derivers.iter().filter_map(Deriver::next);
        let here = first
            .front()
            .filter(|found| found.position == self.core.position);
        derived
            .chain(self.core.next_moment())
            .chain(here.map(|found| found.time))
            .min()
    }

    /// Takes in transitions: those of rules that escalate are only unescalated levels, others go out.
    fn receive(
        &mut self,
        found: impl IntoIterator<Item = Transition>,
        changes: &mut Changes,
        out: &mut Vec<Transition>,
    ) {
        for transition in found {
            self.note_alarm(&transition);
            match self.escalators.get_mut(&transition.rule) {
                Some(escalator) => {
                    escalator.take(&transition);
                    changes.moved(&transition);
                }
                None => out.push(transition),
            }
        }
    }

    /// Emits what the levels are once neighbours have been looked at.
    fn escalate(&mut self, changes: &Changes, out: &mut Vec<Transition>) {
        for (rule, escalator) in &mut self.escalators {
            if let Some(changed) = changes.of(*rule) {
                escalator.settle(&self.core, changed, out);
            }
        }
    }

    fn note_alarm(&mut self, transition: &Transition) {
        let (rule, sensor) = (transition.rule, transition.subject);
        let ends = transition.kind == TransitionKind::Clear;
        if ends {
            let Some(open) = self.open.get_mut(&sensor) else {
                return;
            };
            open.remove(&rule);
            if open.is_empty() {
                self.open.remove(&sensor);
            }
        } else if self.plain.contains(&rule) {
            self.open.entry(sensor).or_default().insert(rule);
        } else {
            return;
        }
        self.tell_alarm(sensor);
    }

    /// Whether an alert is open hangs on the first stage, whose rules this core does not run.
    fn tell_alarm(&mut self, sensor: Name) {
        if let Some(place) = self.core.places.get(&sensor).copied() {
            self.core.sensors[place as usize].alarmed = self.open.contains_key(&sensor);
            self.core.settle_interval(place);
        }
    }
}

/// Takes what the record at `position` meant at `time`.
fn take(first: &mut First, position: u64, time: Time) -> Vec<Transition> {
    let here = |found: &Transition| found.position == position && found.time == time;
    let count = first.iter().take_while(|found| here(found)).count();
    first.drain(..count).collect()
}

/// By time, position, rule and subject. Stable: what one rule does at one subject is in order already.
pub(crate) fn in_order(transitions: &mut [Transition]) {
    transitions.sort_by_key(|transition| {
        (
            transition.time,
            transition.position,
            transition.rule,
            transition.subject,
        )
    });
}
