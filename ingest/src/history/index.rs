//! What the history keeps in memory: the numbers of series and units, the newest event time of each series,
//! and the counts. No I/O.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use citywatch_model::{Name, Time, name};

use super::StoredReading;
use super::store::{Meta, Row};

pub(super) type SeriesId = u32;
pub(super) type UnitId = u32;

pub(super) struct Index {
    pub meta: Meta,
    /// The disk is behind this index; open it anew before anything is written.
    pub broken: bool,
    /// When the disk was last told to sync.
    pub synced: Option<Instant>,
    ids: HashMap<(Name, Name), SeriesId>,
    newest: Vec<Newest>,
    by_sensor: BTreeMap<Name, BTreeMap<Name, SeriesId>>,
    units: Vec<Name>,
    unit_ids: HashMap<Name, UnitId>,
}

/// The newest event time of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newest {
    /// It was not asked for since the start.
    Unread,
    /// There is no row.
    Never,
    /// The newest row.
    At(Time),
}

impl Index {
    pub(super) fn new(meta: Meta) -> Index {
        Index {
            meta,
            broken: false,
            synced: None,
            ids: HashMap::new(),
            newest: Vec::new(),
            by_sensor: BTreeMap::new(),
            units: Vec::new(),
            unit_ids: HashMap::new(),
        }
    }

    pub(super) fn series(&self, sensor: Name, measurement: Name) -> Option<SeriesId> {
        self.ids.get(&(sensor, measurement)).copied()
    }

    pub(super) fn add_series(&mut self, id: SeriesId, sensor: Name, measurement: Name) {
        self.ids.insert((sensor, measurement), id);
        self.by_sensor
            .entry(sensor)
            .or_default()
            .insert(measurement, id);
        let place = id as usize;
        if self.newest.len() <= place {
            self.newest.resize(place + 1, Newest::Unread);
        }
    }

    /// A number that no series has.
    pub(super) fn next_series(&self) -> SeriesId {
        // a name takes tens of bytes, so memory ends long before the numbers do
        SeriesId::try_from(self.newest.len()).unwrap_or(SeriesId::MAX)
    }

    pub(super) fn newest(&self, id: SeriesId) -> Newest {
        self.newest
            .get(id as usize)
            .copied()
            .unwrap_or(Newest::Never)
    }

    pub(super) fn set_newest(&mut self, id: SeriesId, newest: Newest) {
        if let Some(place) = self.newest.get_mut(id as usize) {
            *place = newest;
        }
    }

    pub(super) fn sensors(&self) -> impl Iterator<Item = Name> {
        self.by_sensor.keys().copied()
    }

    pub(super) fn measurements(&self, sensor: Name) -> impl Iterator<Item = (Name, SeriesId)> {
        self.by_sensor
            .get(&sensor)
            .into_iter()
            .flatten()
            .map(|(measurement, id)| (*measurement, *id))
    }

    /// Every series by sensor and measurement.
    pub(super) fn all_series(&self) -> impl Iterator<Item = (Name, Name, SeriesId)> {
        self.by_sensor.iter().flat_map(|(sensor, measurements)| {
            measurements
                .iter()
                .map(|(measurement, id)| (*sensor, *measurement, *id))
        })
    }

    pub(super) fn unit(&self, id: UnitId) -> Name {
        self.units
            .get(id as usize)
            .copied()
            .unwrap_or_else(|| name(""))
    }

    /// A row as people see it.
    pub(super) fn reading(&self, measurement: Name, time: Time, row: &Row) -> StoredReading {
        StoredReading {
            measurement,
            value: row.value,
            unit: self.unit(row.unit),
            time,
            arrival: Time::from_millis(time.millis().saturating_add(row.delay)),
            flags: row.flags,
        }
    }

    pub(super) fn unit_id(&self, unit: Name) -> Option<UnitId> {
        self.unit_ids.get(&unit).copied()
    }

    pub(super) fn next_unit(&self) -> UnitId {
        UnitId::try_from(self.units.len()).unwrap_or(UnitId::MAX)
    }

    pub(super) fn add_unit(&mut self, id: UnitId, unit: Name) {
        let place = id as usize;
        if self.units.len() <= place {
            self.units.resize(place + 1, name(""));
        }
        self.units[place] = unit;
        self.unit_ids.insert(unit, id);
    }
}
