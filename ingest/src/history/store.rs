//! The history on disk. This is the only file of the history that names fjall; it knows keys and rows, and
//! nothing of what they mean.

use std::path::Path;

use citywatch_model::{Position, Time, name};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use serde::{Deserialize, Serialize};

use super::index::{Index, SeriesId, UnitId};
use super::{HistoryError, KEPT_REJECTED};
use crate::rejected::RejectedPayload;

const MEBIBYTE: u64 = 1024 * 1024;
const META_KEY: &[u8] = b"meta";

pub(super) struct Store {
    database: Database,
    series: Keyspace,
    units: Keyspace,
    rows: Keyspace,
    meta: Keyspace,
    rejected: Keyspace,
}

/// How far the journal is applied and what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Meta {
    pub cursor: Position,
    pub readings: u64,
    pub duplicates: u64,
    pub conflicts: u64,
}

/// What is kept of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub value: f64,
    pub unit: UnitId,
    /// Arrival minus event time in milliseconds.
    pub delay: i64,
    pub flags: u8,
}

/// Changes that take effect together.
pub(super) struct Batch(OwnedWriteBatch);

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Store, HistoryError> {
        let wrong = |reason: String| HistoryError::Open {
            path: dir.to_owned(),
            reason,
        };
        std::fs::create_dir_all(dir).map_err(|error| wrong(error.to_string()))?;
        let opened = |database: Database| {
            let keyspace = |name, memtable| {
                database.keyspace(name, || {
                    KeyspaceCreateOptions::default().max_memtable_size(memtable)
                })
            };
            Ok(Store {
                series: keyspace("series", MEBIBYTE)?,
                units: keyspace("units", MEBIBYTE)?,
                rows: keyspace("rows", 16 * MEBIBYTE)?,
                meta: keyspace("meta", MEBIBYTE)?,
                rejected: keyspace("rejected", 4 * MEBIBYTE)?,
                database,
            })
        };
        Database::builder(dir)
            .cache_size(8 * MEBIBYTE)
            .max_journaling_size(128 * MEBIBYTE)
            .worker_threads(2)
            .open()
            .and_then(opened)
            .map_err(|error| match error {
                fjall::Error::Locked => HistoryError::Locked {
                    path: dir.to_owned(),
                },
                other => wrong(other.to_string()),
            })
    }

    /// Everything but the rows.
    pub(super) fn load(&self) -> Result<Index, String> {
        let meta = match self.meta.get(META_KEY).map_err(text)? {
            Some(bytes) => from_bytes("meta", &bytes)?,
            None => Meta::default(),
        };
        let mut index = Index::new(meta);
        for guard in self.series.iter() {
            let (key, value) = guard.into_inner().map_err(text)?;
            let (sensor, measurement): (&str, &str) = from_bytes("series", &value)?;
            index.add_series(number("series", &key)?, name(sensor), name(measurement));
        }
        for guard in self.units.iter() {
            let (key, value) = guard.into_inner().map_err(text)?;
            let unit: &str = from_bytes("unit", &value)?;
            index.add_unit(number("unit", &key)?, name(unit));
        }
        Ok(index)
    }

    pub(super) fn batch(&self) -> Batch {
        Batch(self.database.batch())
    }

    pub(super) fn insert_series(
        &self,
        batch: &mut Batch,
        id: SeriesId,
        names: (&str, &str),
    ) -> Result<(), String> {
        batch
            .0
            .insert(&self.series, id.to_be_bytes(), to_bytes(&names)?);
        Ok(())
    }

    pub(super) fn insert_unit(
        &self,
        batch: &mut Batch,
        id: UnitId,
        unit: &str,
    ) -> Result<(), String> {
        batch
            .0
            .insert(&self.units, id.to_be_bytes(), to_bytes(&unit)?);
        Ok(())
    }

    pub(super) fn insert_row(
        &self,
        batch: &mut Batch,
        at: (SeriesId, Time),
        row: &Row,
    ) -> Result<(), String> {
        batch
            .0
            .insert(&self.rows, row_key(at.0, at.1), to_bytes(row)?);
        Ok(())
    }

    pub(super) fn commit(&self, mut batch: Batch, meta: Meta, sync: bool) -> Result<(), String> {
        batch.0.insert(&self.meta, META_KEY, to_bytes(&meta)?);
        batch.0.commit().map_err(text)?;
        if sync {
            self.database.persist(PersistMode::SyncData).map_err(text)
        } else {
            Ok(())
        }
    }

    pub(super) fn row(&self, series: SeriesId, time: Time) -> Result<Option<Row>, String> {
        let bytes = self.rows.get(row_key(series, time)).map_err(text)?;
        bytes.map(|bytes| from_bytes("row", &bytes)).transpose()
    }

    /// Rows of a series, oldest first.
    pub(super) fn rows(
        &self,
        series: SeriesId,
        from: Time,
        to: Time,
    ) -> impl DoubleEndedIterator<Item = Result<(Time, Row), String>> + use<> {
        // an empty range must not reach the storage, which refuses bounds that cross
        let range = if from <= to {
            Some(row_key(series, from)..=row_key(series, to))
        } else {
            None
        };
        range
            .map(|range| self.rows.range(range))
            .into_iter()
            .flatten()
            .map(row)
    }

    pub(super) fn newest_row(&self, series: SeriesId) -> Result<Option<(Time, Row)>, String> {
        self.rows(series, Time::MIN, Time::MAX)
            .next_back()
            .transpose()
    }

    pub(super) fn oldest_row(&self, series: SeriesId) -> Result<Option<(Time, Row)>, String> {
        self.rows(series, Time::MIN, Time::MAX).next().transpose()
    }

    pub(super) fn next_rejected(&self) -> Result<u64, String> {
        match self.rejected.last_key_value() {
            Some(guard) => Ok(position("rejected", &guard.key().map_err(text)?)? + 1),
            None => Ok(0),
        }
    }

    pub(super) fn write_rejected(
        &self,
        number: u64,
        payload: &RejectedPayload,
    ) -> Result<(), String> {
        let json = serde_json::to_vec(payload).map_err(|error| error.to_string())?;
        let mut batch = self.database.batch();
        batch.insert(&self.rejected, number.to_be_bytes(), json);
        if let Some(oldest) = number.checked_sub(KEPT_REJECTED) {
            batch.remove(&self.rejected, oldest.to_be_bytes());
        }
        batch.commit().map_err(text)
    }

    pub(super) fn rejected(&self, limit: usize) -> Result<Vec<RejectedPayload>, String> {
        let newest = self.rejected.iter().rev().take(limit);
        newest
            .map(|guard| {
                let json = guard.value().map_err(text)?;
                serde_json::from_slice(&json)
                    .map_err(|error| format!("a rejected payload is damaged: {error}"))
            })
            .collect()
    }
}

fn row(guard: Guard) -> Result<(Time, Row), String> {
    let (key, value) = guard.into_inner().map_err(text)?;
    let (_, time) = key
        .split_at_checked(4)
        .ok_or_else(|| wrong_key("row", &key))?;
    let ordered = position("row", time)?;
    let millis = (ordered ^ (1 << 63)).cast_signed();
    Ok((Time::from_millis(millis), from_bytes("row", &value)?))
}

/// Bytes that sort by series, then by time.
fn row_key(series: SeriesId, time: Time) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&series.to_be_bytes());
    key[4..].copy_from_slice(&(time.millis().cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key
}

fn number(what: &str, key: &[u8]) -> Result<u32, String> {
    key.try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| wrong_key(what, key))
}

fn position(what: &str, key: &[u8]) -> Result<u64, String> {
    key.try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| wrong_key(what, key))
}

fn wrong_key(what: &str, key: &[u8]) -> String {
    format!("a {what} key has {} bytes", key.len())
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    postcard::to_extend(value, Vec::with_capacity(24)).map_err(|error| error.to_string())
}

fn from_bytes<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("a {what} is damaged: {error}"))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn text(error: fjall::Error) -> String {
    error.to_string()
}
