//! The newest values that rules name with `sensor(ID, MEASUREMENT)`, kept by whoever evaluates such a rule,
//! wherever the named sensor itself is followed. A value counts from when a rule names it; nothing earlier.

use citywatch_model::{Name, Observation, Time};
use ustr::UstrMap;

use super::profile::Limits;
use super::program::{Program, RemoteKey};
use crate::units;

/// One named value.
#[derive(Debug)]
pub(super) struct Remote {
    pub key: RemoteKey,
    pub time: Option<Time>,
    pub value: f64,
    /// Number of the step that brought it.
    pub fresh: u64,
    pub stale_ms: i64,
    /// Places of the programs that name it.
    pub readers: Vec<u32>,
}

/// All named values.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    pub list: Vec<Remote>,
    by_sensor: UstrMap<Vec<usize>>,
}

impl Remotes {
    /// Follows exactly what `programs` name, but for those at the slots `leaving`, keeping what was followed before.
    pub(super) fn follow(
        &mut self,
        programs: &mut [Option<Program>],
        leaving: &[u32],
        limits: &UstrMap<Limits>,
    ) {
        let mut old = std::mem::take(self);
        for (reader, program) in programs.iter_mut().enumerate() {
            let Some(program) = program else { continue };
            if leaving.contains(&(reader as u32)) {
                continue;
            }
            let mut places = Vec::with_capacity(program.remotes.len());
            for key in &program.remotes {
                let place = self.place(*key, &mut old.list, limits);
                self.list[place].readers.push(reader as u32);
                places.push(place);
            }
            program.remote_places = places;
        }
    }

    fn place(&mut self, key: RemoteKey, old: &mut Vec<Remote>, limits: &UstrMap<Limits>) -> usize {
        if let Some(place) = self.list.iter().position(|remote| remote.key == key) {
            return place;
        }
        let known = old
            .iter()
            .position(|remote| remote.key == key)
            .map(|place| old.swap_remove(place));
        let stale_ms = limits
            .get(&key.sensor)
            .copied()
            .unwrap_or_default()
            .stale_ms;
        let remote = known.map_or_else(
            || Remote {
                key,
                time: None,
                value: f64::NAN,
                fresh: 0,
                stale_ms,
                readers: Vec::new(),
            },
            |remote| Remote {
                readers: Vec::new(),
                ..remote
            },
        );
        self.by_sensor
            .entry(key.sensor)
            .or_default()
            .push(self.list.len());
        self.list.push(remote);
        self.list.len() - 1
    }

    /// Takes what is new in `observation`; returns the places of values that changed.
    pub(super) fn observe(
        &mut self,
        observation: &Observation,
        limits: Limits,
        step: u64,
    ) -> Vec<usize> {
        let Some(places) = self.by_sensor.get(&observation.sensor) else {
            return Vec::new();
        };
        let mut changed = Vec::new();
        for place in places {
            let remote = &mut self.list[*place];
            let Some(value) = observation
                .values
                .iter()
                .find(|value| value.measurement == remote.key.measurement)
            else {
                continue;
            };
            let newer = remote.time.is_none_or(|time| observation.time > time);
            let converted = converted(value.value, value.unit, remote.key.unit);
            if let (true, true, Some(converted)) = (
                newer,
                limits.plausible(value.value, observation.flags),
                converted,
            ) {
                remote.time = Some(observation.time);
                remote.value = converted;
                remote.fresh = step;
                changed.push(*place);
            }
        }
        changed
    }

    /// The readers and wanted units of `measurement` at `sensor`.
    pub(super) fn readers(
        &self,
        sensor: Name,
        measurement: Name,
    ) -> impl Iterator<Item = (&[u32], Name)> {
        let places = self.by_sensor.get(&sensor).map_or(&[][..], Vec::as_slice);
        let remotes = places.iter().map(|place| &self.list[*place]);
        remotes
            .filter(move |remote| remote.key.measurement == measurement)
            .map(|remote| (&remote.readers[..], remote.key.unit))
    }

    /// Nothing is named at all.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A registered sensor changed, or is gone (`None`): then its values are unknown again.
    pub(super) fn relimit(&mut self, sensor: Name, limits: Option<Limits>) {
        for place in self.by_sensor.get(&sensor).into_iter().flatten() {
            let remote = &mut self.list[*place];
            remote.stale_ms = limits.unwrap_or_default().stale_ms;
            if limits.is_none() {
                remote.time = None;
            }
        }
    }
}

/// `value` in the wanted unit, by the same rule as in a series.
pub(super) fn converted(value: f64, unit: Name, wanted: Name) -> Option<f64> {
    if unit == wanted || unit.is_empty() || wanted.is_empty() {
        return Some(value);
    }
    units::convert(value, unit, wanted).filter(|value| value.is_finite())
}
