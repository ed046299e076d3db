//! From journal records to rows: decides what is new, what is the same again and what is a conflict.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use citywatch_model::{Body, Observation, Record, Time, Value};

use super::index::{Index, Newest, SeriesId, UnitId};
use super::store::{Batch, Row, Store};

/// The disk is told to sync this often, so that little is read again after a power loss.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Writes everything above the cursor. After an error the index is not to be used any more.
pub(super) fn apply<'a>(
    store: &Store,
    index: &mut Index,
    records: impl Iterator<Item = &'a Record>,
) -> Result<(), String> {
    let mut step = Step {
        store,
        index,
        batch: store.batch(),
        pending: HashMap::new(),
    };
    let mut moved = false;
    for record in records {
        if record.position <= step.index.meta.cursor {
            continue;
        }
        if let Body::Observation(observation) = &record.body {
            step.observation(observation)?;
        }
        step.index.meta.cursor = record.position;
        moved = true;
    }
    if !moved {
        return Ok(());
    }
    let Step { batch, .. } = step;
    let sync = index
        .synced
        .is_none_or(|synced| synced.elapsed() >= SYNC_INTERVAL);
    store.commit(batch, index.meta, sync)?;
    if sync {
        index.synced = Some(Instant::now());
    }
    Ok(())
}

struct Step<'s> {
    store: &'s Store,
    index: &'s mut Index,
    batch: Batch,
    /// Rows of this step, which the store does not show yet.
    pending: HashMap<(SeriesId, Time), Row>,
}

impl Step<'_> {
    fn observation(&mut self, observation: &Observation) -> Result<(), String> {
        for value in &observation.values {
            let series = self.series(observation, value)?;
            let row = Row {
                value: value.value,
                unit: self.unit(value)?,
                delay: observation
                    .arrival
                    .millis()
                    .saturating_sub(observation.time.millis()),
                flags: observation.flags,
            };
            self.row(series, observation.time, row)?;
        }
        Ok(())
    }

    fn row(&mut self, series: SeriesId, time: Time, row: Row) -> Result<(), String> {
        let newest = self.newest(series)?;
        // most readings come in order: then no look at the disk is needed
        let known = if newest.is_some_and(|newest| time <= newest) {
            self.known(series, time)?
        } else {
            None
        };
        match known {
            Some(known)
                if known.value.to_bits() == row.value.to_bits() && known.unit == row.unit =>
            {
                self.index.meta.duplicates += 1;
            }
            Some(_) => self.index.meta.conflicts += 1,
            None => {
                self.store
                    .insert_row(&mut self.batch, (series, time), &row)?;
                self.pending.insert((series, time), row);
                self.index.meta.readings += 1;
                let newest = newest.map_or(time, |newest| newest.max(time));
                self.index.set_newest(series, Newest::At(newest));
            }
        }
        Ok(())
    }

    fn known(&self, series: SeriesId, time: Time) -> Result<Option<Row>, String> {
        match self.pending.get(&(series, time)) {
            Some(row) => Ok(Some(*row)),
            None => self.store.row(series, time),
        }
    }

    fn newest(&mut self, series: SeriesId) -> Result<Option<Time>, String> {
        match self.index.newest(series) {
            Newest::At(time) => Ok(Some(time)),
            Newest::Never => Ok(None),
            Newest::Unread => {
                let time = self.store.newest_row(series)?.map(|(time, _)| time);
                self.index
                    .set_newest(series, time.map_or(Newest::Never, Newest::At));
                Ok(time)
            }
        }
    }

    fn series(&mut self, observation: &Observation, value: &Value) -> Result<SeriesId, String> {
        let (sensor, measurement) = (observation.sensor, value.measurement);
        if let Some(id) = self.index.series(sensor, measurement) {
            return Ok(id);
        }
        let id = self.index.next_series();
        self.store
            .insert_series(&mut self.batch, id, (sensor.as_str(), measurement.as_str()))?;
        self.index.add_series(id, sensor, measurement);
        self.index.set_newest(id, Newest::Never);
        Ok(id)
    }

    fn unit(&mut self, value: &Value) -> Result<UnitId, String> {
        if let Some(id) = self.index.unit_id(value.unit) {
            return Ok(id);
        }
        let id = self.index.next_unit();
        self.store
            .insert_unit(&mut self.batch, id, value.unit.as_str())?;
        self.index.add_unit(id, value.unit);
        Ok(id)
    }
}
