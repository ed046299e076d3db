//! The step function: records in, transitions out, in order of positions. One core holds a share of the
//! sensors; every core reads every record, because each record moves the clock. Never asks for the time of
//! day and never looks at other cores, so the outcome is the same however sensors are shared out.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use citywatch_model::{
    Body, LinkState, Name, Observation, Position, Record, Registry, RegistryChange, Time,
    Transition,
};
use ustr::UstrMap;

use super::bound::Surroundings;
use super::counts::{Counts, Tally, UnitError};
use super::moments::Moment;
use super::profile::{Limits, Profile};
use super::program::Program;
use super::remote::{Remotes, converted};
use super::sensor::{Occasion, SensorState, age_base};
use crate::ast::RuleSet;

/// Which sensors a core follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// This core among them, from 0.
    pub index: u64,
    /// Number of cores.
    pub of: u64,
}

impl Share {
    /// All sensors.
    pub(crate) const WHOLE: Share = Share { index: 0, of: 1 };

    fn holds(self, sensor: Name) -> bool {
        self.of == 1 || sensor.precomputed_hash() % self.of == self.index
    }
}

/// Changes of what is in force. They travel on an input of their own and meet the records by position.
#[derive(Debug, Clone)]
pub(crate) enum Control {
    /// From here on exactly these rules.
    Rules(Arc<RuleSet>),
    /// Sensors registered, changed or removed.
    Registry(Arc<RegistryChange>),
}

/// The state of a share of the sensors. Maps from names are for finding only; nothing depends on their order.
#[derive(Debug)]
pub(crate) struct Core {
    share: Share,
    /// A slot keeps its program as long as the rule is in force unchanged.
    pub(super) programs: Vec<Option<Program>>,
    /// Slots in the order of rule ids.
    pub(super) order: Vec<u32>,
    pub(super) sensors: Vec<SensorState>,
    pub(super) places: UstrMap<u32>,
    /// Places of sensors that were removed.
    pub(super) vacant: BTreeSet<u32>,
    /// Of all registered sensors, whoever follows them: remotes need them.
    pub(super) limits: UstrMap<Limits>,
    /// Only the zones; sensors are in `sensors`.
    pub(super) zones: Registry,
    pub(super) remotes: Remotes,
    pub(super) moments: BinaryHeap<Reverse<Moment>>,
    /// When the service started or a link came up last.
    pub(super) resumed: Time,
    pub(super) clock: Time,
    pub(super) position: Position,
    /// Counts records; unlike positions it never repeats.
    pub(super) step: u64,
    tally: Tally,
}

impl Core {
    pub(crate) fn new(share: Share) -> Core {
        Core {
            share,
            programs: Vec::new(),
            order: Vec::new(),
            sensors: Vec::new(),
            places: UstrMap::default(),
            vacant: BTreeSet::new(),
            limits: UstrMap::default(),
            zones: Registry::default(),
            remotes: Remotes::default(),
            moments: BinaryHeap::new(),
            resumed: Time::MIN,
            clock: Time::MIN,
            position: 0,
            step: 0,
            tally: Tally::default(),
        }
    }

    /// Reads a record: moments before its clock first, then what it says. Rules and registry changes come
    /// as `Control`s; their records only move the clock.
    pub(crate) fn step(&mut self, record: &Record, out: &mut Vec<Transition>) {
        self.advance(record.position, record.clock, out);
        match &record.body {
            Body::Observation(observation) => self.observe(observation, out),
            Body::Start
            | Body::Link {
                state: LinkState::Up,
                ..
            } => self.resume(),
            Body::Tick
            | Body::Link {
                state: LinkState::Down,
                ..
            }
            | Body::Registry(_)
            | Body::Rules(_) => {}
        }
    }

    /// Puts `control` in force, at the record that was read last.
    pub(crate) fn control(&mut self, control: &Control, out: &mut Vec<Transition>) {
        self.step += 1;
        let before = out.len();
        match control {
            Control::Rules(rules) => self.install(rules, out),
            Control::Registry(change) => self.register(change, out),
        }
        sort_from(before, out);
    }

    /// Fires what is due up to and including `end`, where a backtest's clock ends. The transitions carry the
    /// position after the last.
    pub(crate) fn finish(&mut self, end: Time, out: &mut Vec<Transition>) {
        // what fires now passed before a record that will never come: after everything that the last one did
        let last = self.position;
        self.position += 1;
        self.fire_before(Time::from_millis(end.millis().saturating_add(1)), out);
        self.position = last;
        self.clock = self.clock.max(end);
    }

    /// The last record read, and the clock.
    pub(crate) fn reached(&self) -> (Position, Time) {
        (self.position, self.clock)
    }

    /// Counts so far, every unit mistake named.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.all()
    }

    /// Counts since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.tally).all()
    }

    fn advance(&mut self, position: Position, clock: Time, out: &mut Vec<Transition>) {
        self.position = position;
        if clock > self.clock {
            self.fire_before(clock, out);
            self.clock = clock;
        }
        self.step += 1;
    }

    fn observe(&mut self, observation: &Observation, out: &mut Vec<Transition>) {
        let before = out.len();
        let mut disordered = false;
        let place = self
            .share
            .holds(observation.sensor)
            .then(|| self.sensor_place(observation.sensor));
        if let Some((place, new)) = place {
            if self.sensors[place as usize].hear(observation) || new {
                self.rebind(place, out);
                disordered = true;
            }
            let at = Occasion {
                step: self.step,
                clock: self.clock,
                position: self.position,
            };
            self.sensors[place as usize].take(observation, at, &self.programs, &mut self.tally);
        }
        // all that the record brings is in place before any rule looks at it
        let readers = if self.remotes.is_empty() {
            BTreeSet::new()
        } else {
            self.observe_remote(observation)
        };
        if let Some((place, _)) = place {
            self.evaluate_touched(place, out);
            self.sensors[place as usize].trim(self.step);
        }
        if !readers.is_empty() {
            self.evaluate_readers(&readers, out);
            disordered = true;
        }
        if disordered {
            sort_from(before, out);
        }
    }

    fn sensor_place(&mut self, id: Name) -> (u32, bool) {
        if let Some(place) = self.places.get(&id) {
            return (*place, false);
        }
        (self.add_sensor(id, Profile::default()), true)
    }

    /// Whether this core follows `sensor`.
    pub(super) fn follows(&self, sensor: Name) -> bool {
        self.share.holds(sensor)
    }

    fn evaluate_touched(&mut self, place: u32, out: &mut Vec<Transition>) {
        for bound in 0..self.sensors[place as usize].bounds.len() {
            let sensor = &self.sensors[place as usize];
            if sensor.bounds[bound].touched(&sensor.series, self.step) {
                self.evaluate(place, bound, out);
            }
        }
    }

    fn evaluate(&mut self, place: u32, bound_place: usize, out: &mut Vec<Transition>) {
        let sensor = &mut self.sensors[place as usize];
        let bound = &mut sensor.bounds[bound_place];
        let Some(program) = &self.programs[bound.slot as usize] else {
            return;
        };
        let around = Surroundings {
            program,
            series: &sensor.series,
            remotes: &self.remotes.list,
            step: self.step,
            clock: self.clock,
            moment: false,
            age: age_base(&sensor.series, bound, sensor.registered.max(self.resumed)),
            stale_ms: sensor.profile.limits.stale_ms,
        };
        if let Some(what) = bound.evaluate(&around) {
            let at = (self.clock, self.position);
            out.push(bound.transition(what, program.rule.info.id, sensor.id, at, &sensor.series));
        }
        if bound.watch.is_some() {
            self.schedule(place, bound_place);
        }
    }

    /// Takes in what rules name remotely; the programs that name something new.
    fn observe_remote(&mut self, observation: &Observation) -> BTreeSet<u32> {
        let limits = self
            .limits
            .get(&observation.sensor)
            .copied()
            .unwrap_or_default();
        if self.share.holds(observation.sensor) {
            self.count_remote_units(observation, limits);
        }
        let changed = self.remotes.observe(observation, limits, self.step);
        changed
            .iter()
            .flat_map(|place| &self.remotes.list[*place].readers)
            .copied()
            .collect()
    }

    /// Evaluates the programs at `slots` at all their sensors, except where this step has done so already.
    fn evaluate_readers(&mut self, slots: &BTreeSet<u32>, out: &mut Vec<Transition>) {
        for slot in slots {
            let Some(program) = &self.programs[*slot as usize] else {
                continue;
            };
            for place in program.subjects.clone() {
                let bounds = &self.sensors[place as usize].bounds;
                let waiting = bounds
                    .iter()
                    .position(|bound| bound.slot == *slot && bound.evaluated != self.step);
                if let Some(bound) = waiting {
                    self.evaluate(place, bound, out);
                }
            }
        }
    }

    fn count_remote_units(&mut self, observation: &Observation, limits: Limits) {
        for value in observation
            .values
            .iter()
            .filter(|value| limits.plausible(value.value))
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
                        rule: program.rule.info.id,
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

/// Brings the transitions of one record into order: by rule, then subject.
fn sort_from(start: usize, out: &mut [Transition]) {
    out[start..].sort_by_key(|transition| (transition.rule, transition.subject));
}
