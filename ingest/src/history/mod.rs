//! The history: every reading once, found by sensor, measurement and event time. Built from the journal
//! alone, behind a cursor of its own, so it may lag, stop, or be deleted and built again.
//!
//! # Format
//! One fjall database. `series`: number (u32) to sensor and measurement. `units`: number to text. `rows`:
//! series number (u32), event time (i64 milliseconds with the sign bit turned, so that bytes sort like
//! times), all big endian, to value, unit number, arrival minus event time, flags (postcard). `meta`: how
//! far the journal is applied and what was counted, written in the same atomic step as the rows.
//! `rejected`: running number to a rejected payload (JSON), the newest 10,000.
//!
//! # Invariants
//! * The first value of a (sensor, measurement, event time) stays; another value later is a conflict and
//!   is counted, the same value is a duplicate.
//! * Rows and cursor move together, so no record is half applied and none is applied twice.
//! * No sync is waited for: after a power loss the cursor is older and the journal is read from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use citywatch_model::{Name, Position, Record, Time};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use crate::metrics::HistoryMetrics;
use crate::rejected::RejectedPayload;

mod apply;
mod buckets;
mod error;
mod follow;
mod index;
mod kept;
mod observations;
mod store;
#[cfg(test)]
mod tests;

pub use buckets::Bucket;
pub use error::HistoryError;
pub use observations::Observations;

use index::Index;
use store::{Meta, Store};

/// Rejected payloads that are kept.
pub const KEPT_REJECTED: u64 = 10_000;

/// One reading as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StoredReading {
    /// What was measured.
    pub measurement: Name,
    /// How much.
    pub value: f64,
    /// Unit as it came; may be empty.
    pub unit: Name,
    /// Event time.
    pub time: Time,
    /// Arrival time.
    pub arrival: Time,
    /// Bits of [`citywatch_model::flags`].
    pub flags: u8,
}

/// What was counted since the history was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HistoryCount {
    /// Distinct readings that are kept.
    pub readings: u64,
    /// Readings that came again with the same value.
    pub duplicates: u64,
    /// Readings that came again with another value; the first one stayed.
    pub conflicts: u64,
}

/// A handle; clones share one history.
#[derive(Clone)]
pub struct History {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    metrics: HistoryMetrics,
    /// `None` only while it is being opened anew. Locked after `index`.
    store: RwLock<Option<Store>>,
    index: RwLock<Index>,
    /// The running number of the next rejected payload.
    next_rejected: Mutex<u64>,
}

impl History {
    /// Opens or makes the history in `dir`.
    ///
    /// # Errors
    /// If the folder is in use, cannot be read or written, or holds something else.
    pub fn open(
        dir: impl AsRef<Path>,
        metrics: &prometheus::Registry,
    ) -> Result<History, HistoryError> {
        let dir = dir.as_ref().to_owned();
        let metrics = HistoryMetrics::register(metrics)
            .map_err(|error| HistoryError::Metrics(error.to_string()))?;
        let store = Store::open(&dir)?;
        let index = store.load().map_err(|reason| HistoryError::Open {
            path: dir.clone(),
            reason,
        })?;
        let next_rejected = store.next_rejected().map_err(|reason| HistoryError::Open {
            path: dir.clone(),
            reason,
        })?;
        metrics
            .cursor
            .set(i64::try_from(index.meta.cursor).unwrap_or(i64::MAX));
        let inner = Inner {
            dir,
            metrics,
            store: RwLock::new(Some(store)),
            index: RwLock::new(index),
            next_rejected: Mutex::new(next_rejected),
        };
        Ok(History {
            inner: Arc::new(inner),
        })
    }

    /// Position of the last journal record that was applied; 0 if none was. After a power loss it may be
    /// what it was a second earlier, so the journal is not to be cut right up to it.
    #[must_use]
    pub fn cursor(&self) -> Position {
        self.inner.index.read().meta.cursor
    }

    /// What was counted so far.
    #[must_use]
    pub fn count(&self) -> HistoryCount {
        let Meta {
            readings,
            duplicates,
            conflicts,
            ..
        } = self.inner.index.read().meta;
        HistoryCount {
            readings,
            duplicates,
            conflicts,
        }
    }

    /// Applies journal records in one atomic step; records at or below the cursor change nothing. Blocks
    /// for some milliseconds a 10,000 records.
    ///
    /// # Errors
    /// If they could not be written; nothing of them is applied then, and the call may be repeated.
    pub fn apply(&self, records: &[Record]) -> Result<(), HistoryError> {
        self.apply_all(records.iter())
    }

    fn apply_all<'a>(&self, records: impl Iterator<Item = &'a Record>) -> Result<(), HistoryError> {
        let started = Instant::now();
        let inner = &*self.inner;
        let mut index = inner.index.write();
        inner.reopen_if_broken(&mut index)?;
        let before = HistoryCount::from(index.meta);
        // until it is written the index is ahead of the disk; after an error the storage takes nothing more
        index.broken = true;
        inner.with_store(|store| apply::apply(store, &mut index, records))?;
        index.broken = false;
        let after = HistoryCount::from(index.meta);
        let metrics = &inner.metrics;
        metrics.applied.inc_by(after.readings - before.readings);
        metrics
            .duplicates
            .inc_by(after.duplicates - before.duplicates);
        metrics.conflicts.inc_by(after.conflicts - before.conflicts);
        metrics
            .cursor
            .set(i64::try_from(index.meta.cursor).unwrap_or(i64::MAX));
        metrics
            .apply_seconds
            .observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn reopen_if_broken(&self) -> Result<(), HistoryError> {
        let inner = &*self.inner;
        inner.reopen_if_broken(&mut inner.index.write())
    }

    /// Sensors that ever spoke, in the order of their ids.
    #[must_use]
    pub fn sensors(&self) -> Vec<Name> {
        self.inner.index.read().sensors().collect()
    }

    /// What `sensor` ever measured, in the order of the names.
    #[must_use]
    pub fn measurements(&self, sensor: Name) -> Vec<Name> {
        self.inner
            .index
            .read()
            .measurements(sensor)
            .map(|(measurement, _)| measurement)
            .collect()
    }

    /// The reading with the newest event time of each measurement of `sensor`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn newest(&self, sensor: Name) -> Result<Vec<StoredReading>, HistoryError> {
        let inner = &*self.inner;
        let index = inner.index.read();
        inner.with_store(|store| {
            let mut newest = Vec::new();
            for (measurement, series) in index.measurements(sensor) {
                if let Some((time, row)) = store.newest_row(series)? {
                    newest.push(index.reading(measurement, time, &row));
                }
            }
            Ok(newest)
        })
    }

    /// The first `limit` readings with `from <= event time <= to`, oldest first.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn readings(
        &self,
        sensor: Name,
        measurement: Name,
        (from, to): (Time, Time),
        limit: usize,
    ) -> Result<Vec<StoredReading>, HistoryError> {
        let inner = &*self.inner;
        let index = inner.index.read();
        let Some(series) = index.series(sensor, measurement) else {
            return Ok(Vec::new());
        };
        inner.with_store(|store| {
            let rows = store.rows(series, from, to).take(limit);
            rows.map(|row| row.map(|(time, row)| index.reading(measurement, time, &row)))
                .collect()
        })
    }

    /// The readings with `from <= event time <= to` in at most about `max_points` buckets of equal length,
    /// oldest first; empty buckets are left out, and no bucket mixes units.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn series(
        &self,
        sensor: Name,
        measurement: Name,
        (from, to): (Time, Time),
        max_points: usize,
    ) -> Result<Vec<Bucket>, HistoryError> {
        let inner = &*self.inner;
        let index = inner.index.read();
        let Some(series) = index.series(sensor, measurement) else {
            return Ok(Vec::new());
        };
        inner.with_store(|store| {
            let rows = store.rows(series, from, to);
            let readings =
                rows.map(|row| row.map(|(time, row)| index.reading(measurement, time, &row)));
            buckets::buckets(readings, (from, to), max_points)
        })
    }

    /// All observations with `from <= event time <= to`, ordered by time and sensor, in bounded memory.
    #[must_use]
    pub fn observations(&self, from: Time, to: Time) -> Observations {
        Observations::new(self.clone(), from, to)
    }

    /// Keeps a rejected payload, and forgets the oldest above [`KEPT_REJECTED`]. Blocks on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_rejected(&self, payload: &RejectedPayload) -> Result<(), HistoryError> {
        let mut next = self.inner.next_rejected.lock();
        self.inner
            .with_store(|store| store.write_rejected(*next, payload))?;
        *next += 1;
        Ok(())
    }

    /// Makes every [`History::keep_rejected`] wait as if for a slow disk, until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn hold_rejected(&self) -> parking_lot::MutexGuard<'_, u64> {
        self.inner.next_rejected.lock()
    }

    /// The newest rejected payloads, newest first, at most `limit`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn rejected(&self, limit: usize) -> Result<Vec<RejectedPayload>, HistoryError> {
        self.inner.with_store(|store| store.rejected(limit))
    }
}

impl From<Meta> for HistoryCount {
    fn from(meta: Meta) -> HistoryCount {
        HistoryCount {
            readings: meta.readings,
            duplicates: meta.duplicates,
            conflicts: meta.conflicts,
        }
    }
}

impl Inner {
    fn with_store<T>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, String>,
    ) -> Result<T, HistoryError> {
        let store = self.store.read();
        let worked = match store.as_ref() {
            Some(store) => work(store),
            None => Err("it could not be opened again yet".to_owned()),
        };
        worked.map_err(|reason| HistoryError::Storage {
            path: self.dir.clone(),
            reason,
        })
    }

    fn reopen_if_broken(&self, index: &mut Index) -> Result<(), HistoryError> {
        if !index.broken {
            return Ok(());
        }
        let mut place = self.store.write();
        // closed first, since the folder is locked by whoever has it open
        *place = None;
        let store = Store::open(&self.dir)?;
        *index = store.load().map_err(|reason| HistoryError::Storage {
            path: self.dir.clone(),
            reason,
        })?;
        *place = Some(store);
        Ok(())
    }
}
