//! The step function: records in, transitions out, in order of positions. One core holds a share of the
//! sensors; every core reads every record, because each record moves the clock. Never asks for the time of
//! day and never looks at other cores, so the outcome is the same however sensors are shared out.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use citywatch_model::{
    Body, LinkState, Name, Observation, Position, Record, RegistryChange, RulesInForce, Time,
    Transition, Zones,
};
use serde::{Deserialize, Serialize};
use ustr::UstrMap;

use super::counts::{Counts, Tally};
use super::ground::Ground;
use super::judge::Which;
use super::moments::Moment;
use super::profile::{Limits, Profile};
use super::program::Program;
use super::remote::Remotes;
use super::sensor::{Occasion, SensorState};
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

    #[inline]
    pub(super) fn holds(self, sensor: Name) -> bool {
        self.of == 1 || sensor.precomputed_hash() % self.of == self.index
    }
}

/// Which rules a core runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Those that see one sensor, and values of named others.
    First,
    /// Those that see many sensors or derived series.
    Second,
}

/// How far a core has read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// The last record.
    pub position: Position,
    pub clock: Time,
    /// When the service started or a link came up last.
    pub resumed: Time,
}

/// Changes of what is in force. They travel on an input of their own and meet the records by position.
#[derive(Debug, Clone)]
pub(crate) enum Control {
    /// From here on exactly these rules, and their texts as far as they are known.
    Rules(Arc<RuleSet>, Option<Arc<RulesInForce>>),
    /// Sensors registered, changed or removed.
    Registry(Arc<RegistryChange>),
}

/// The state of a share of the sensors. Maps from names are for finding only; nothing depends on their order.
#[derive(Debug)]
pub(crate) struct Core {
    share: Share,
    pub(super) role: Role,
    /// A slot keeps its program as long as the rule is in force unchanged.
    pub(super) programs: Vec<Option<Program>>,
    /// Slots in the order of rule ids.
    pub(super) order: Vec<u32>,
    /// Of those in force, the slots of programs with windows over other measurements than their own.
    pub(super) ahead: Vec<u32>,
    pub(super) sensors: Vec<SensorState>,
    pub(super) places: UstrMap<u32>,
    /// Place of the sensor that is looked for first: sensors often speak in the same order again.
    expected: u32,
    /// Places of sensors that were removed.
    pub(super) vacant: BTreeSet<u32>,
    /// Of all registered sensors, whoever follows them: remotes need them.
    pub(super) limits: UstrMap<Limits>,
    pub(super) zones: Zones,
    /// Where sensors stand, for the second stage.
    pub(super) ground: Ground,
    /// Zones that derived series speak for; a sensor of such a name stands in it if it is not said elsewhere.
    pub(super) zonal: BTreeSet<Name>,
    pub(super) remotes: Remotes,
    pub(super) moments: BinaryHeap<Reverse<Moment>>,
    /// Sensors at which an alert has ended over a silence that is perhaps nobody's concern any more.
    pub(super) over: Vec<u32>,
    /// When the service started or a link came up last.
    pub(super) resumed: Time,
    pub(super) clock: Time,
    pub(super) position: Position,
    /// Counts records; unlike positions it never repeats.
    pub(super) step: u64,
    pub(super) tally: Tally,
}

impl Core {
    pub(crate) fn new(share: Share) -> Core {
        Core {
            share,
            role: Role::First,
            programs: Vec::new(),
            order: Vec::new(),
            ahead: Vec::new(),
            sensors: Vec::new(),
            places: UstrMap::default(),
            expected: 0,
            vacant: BTreeSet::new(),
            limits: UstrMap::default(),
            zones: Zones::default(),
            ground: Ground::default(),
            zonal: BTreeSet::new(),
            remotes: Remotes::default(),
            moments: BinaryHeap::new(),
            over: Vec::new(),
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
            Control::Rules(rules, _) => self.install(rules, out),
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

    /// How far it has read.
    #[inline]
    pub(crate) fn reached(&self) -> Reached {
        Reached {
            position: self.position,
            clock: self.clock,
            resumed: self.resumed,
        }
    }

    /// Counts so far, every unit mistake named.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.all()
    }

    /// Counts since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.tally).all()
    }

    #[inline]
    fn advance(&mut self, position: Position, clock: Time, out: &mut Vec<Transition>) {
        self.position = position;
        if clock > self.clock {
            self.fire_before(clock, out);
            self.clock = clock;
        }
        self.step += 1;
    }

    #[inline]
    fn observe(&mut self, observation: &Observation, out: &mut Vec<Transition>) {
        let before = out.len();
        let mut disordered = false;
        let place = self.file(observation, out).map(|(place, rebound)| {
            disordered = rebound;
            place
        });
        // all that the record brings is in place before any rule looks at it
        let readers = (!self.remotes.is_empty())
            .then(|| self.observe_remote(observation))
            .filter(|readers| !readers.is_empty());
        let intervals = place.is_some_and(|place| self.has_alarm_interval(place));
        if intervals || readers.is_some() {
            // an open alert may change the interval that `age` is compared with
            for which in [Which::Plain, Which::Aged] {
                if let Some(place) = place {
                    self.evaluate_touched(place, which, out);
                }
                if let Some(readers) = &readers {
                    self.evaluate_readers(readers, which, out);
                }
            }
            disordered = true;
        } else if let Some(place) = place {
            self.evaluate_touched(place, Which::All, out);
        }
        if let Some(place) = place {
            self.sensors[place as usize].trim(self.step);
        }
        self.release_over(out);
        if disordered {
            sort_from(before, out);
        }
    }

    /// Files the readings of a sensor that this core follows: its place, and whether other rules run there now.
    #[inline]
    pub(super) fn file(
        &mut self,
        observation: &Observation,
        out: &mut Vec<Transition>,
    ) -> Option<(u32, bool)> {
        let (place, new) = self.sensor_place(observation.sensor)?;
        self.expected = place + 1;
        let rebound = self.sensors[place as usize].hear(observation) || new;
        if rebound {
            self.rebind(place, out);
        }
        let at = Occasion {
            step: self.step,
            clock: self.clock,
            position: self.position,
        };
        self.sensors[place as usize].take(observation, at, &self.programs, &mut self.tally);
        Some((place, rebound))
    }

    /// The place of a sensor and whether it is new, if this core follows it.
    #[inline]
    fn sensor_place(&mut self, id: Name) -> Option<(u32, bool)> {
        // a vacant place has the empty name, which no sensor has
        let expected = self.sensors.get(self.expected as usize);
        if expected.is_some_and(|sensor| sensor.id == id) {
            return Some((self.expected, false));
        }
        if !self.share.holds(id) {
            return None;
        }
        if let Some(place) = self.places.get(&id) {
            return Some((*place, false));
        }
        Some((self.add_sensor(id, Profile::default()), true))
    }

    /// Whether this core follows `sensor`.
    #[inline]
    pub(super) fn follows(&self, sensor: Name) -> bool {
        self.share.holds(sensor)
    }
}

/// Brings the transitions of one record into order: by rule, then subject.
fn sort_from(start: usize, out: &mut [Transition]) {
    out[start..].sort_by_key(|transition| (transition.rule, transition.subject));
}
