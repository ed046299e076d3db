//! What the archive keeps on disk: how far it is, and the points that were refused. This is the only file of the
//! archive that names fjall.
//!
//! # Format
//! One fjall database. `cursors`: url, org and bucket, a line each, to position and clock of the last record that is
//! archived there (postcard). `refused`: running number from 0 (u64, big endian) to a point that was set aside
//! (JSON), the newest 10,000. Cursor and refused points are written and synced in one atomic step.

use std::path::{Path, PathBuf};

use citywatch_model::{Name, Position, Time};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::{Deserialize, Serialize};

use super::point::Point;

/// Points set aside that are kept.
pub const KEPT_REFUSED: u64 = 10_000;

const MEBIBYTE: u64 = 1024 * 1024;

/// A point that the archive would not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedPoint {
    /// When it was refused.
    pub refused: Time,
    /// What the archive said, or why no line can carry the point.
    pub reason: String,
    /// Sensor.
    pub sensor: String,
    /// What was measured.
    pub measurement: String,
    /// Event time.
    pub time: Time,
    /// How much; `None` if it is not finite.
    pub value: Option<f64>,
    /// Unit as it came; may be empty.
    pub unit: String,
    /// Bits of [`citywatch_model::flags`].
    pub flags: u8,
}

impl RefusedPoint {
    pub(super) fn new(point: &Point, refused: Time, reason: &str) -> RefusedPoint {
        let text = |name: Name| name.as_str().to_owned();
        RefusedPoint {
            refused,
            reason: reason.to_owned(),
            sensor: text(point.sensor),
            measurement: text(point.measurement),
            time: point.time,
            value: point.value.is_finite().then_some(point.value),
            unit: text(point.unit),
            flags: point.flags,
        }
    }
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub position: Position,
    /// Of the record there: another journal has another one.
    pub clock: Time,
}

pub(super) struct Store {
    dir: PathBuf,
    /// `None` after an error, until it is open again.
    open: Option<Open>,
    next_refused: u64,
}

struct Open {
    database: Database,
    cursors: Keyspace,
    refused: Keyspace,
}

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Store, String> {
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let mut store = Store {
            dir: dir.to_owned(),
            open: None,
            next_refused: 0,
        };
        store.reopen()?;
        Ok(store)
    }

    /// After a write error the storage takes nothing more until it was closed and opened anew.
    fn reopen(&mut self) -> Result<&Open, String> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let open = Open::new(&self.dir).map_err(text)?;
                self.next_refused = match open.refused.last_key_value() {
                    Some(guard) => number(&guard.key().map_err(text)?)? + 1,
                    None => 0,
                };
                open
            }
        };
        Ok(self.open.insert(open))
    }

    /// Frees the folder.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Where the archive `target` stands; `None` if it was never written to.
    pub(super) fn cursor(&self, target: &str) -> Result<Option<Mark>, String> {
        let open = self.open.as_ref().ok_or_else(closed)?;
        let Some(bytes) = open.cursors.get(target).map_err(text)? else {
            return Ok(None);
        };
        let (position, clock): (Position, i64) = postcard::from_bytes(&bytes)
            .map_err(|error| format!("the cursor is damaged: {error}"))?;
        Ok(Some(Mark {
            position,
            clock: Time::from_millis(clock),
        }))
    }

    /// Moves the cursor and keeps what was refused on the way, on disk when it returns.
    pub(super) fn commit(
        &mut self,
        target: &str,
        mark: Mark,
        refused: &[RefusedPoint],
    ) -> Result<(), String> {
        let first = {
            self.reopen()?;
            self.next_refused
        };
        let written = self
            .open
            .as_ref()
            .ok_or_else(closed)?
            .write(target, mark, (first, refused));
        match written {
            Ok(()) => self.next_refused = first + refused.len() as u64,
            Err(_) => self.open = None,
        }
        written
    }

    /// Points set aside since the folder was made.
    pub(super) fn refused_in_all(&self) -> u64 {
        self.next_refused
    }

    /// The newest refused points, newest first.
    pub(super) fn refused(&self, limit: usize) -> Result<Vec<RefusedPoint>, String> {
        let open = self.open.as_ref().ok_or_else(closed)?;
        let newest = open.refused.iter().rev().take(limit);
        newest
            .map(|guard| {
                let json = guard.value().map_err(text)?;
                serde_json::from_slice(&json)
                    .map_err(|error| format!("a refused point is damaged: {error}"))
            })
            .collect()
    }
}

impl Open {
    fn new(dir: &Path) -> fjall::Result<Open> {
        let database = Database::builder(dir)
            .cache_size(MEBIBYTE)
            .max_journaling_size(64 * MEBIBYTE)
            .worker_threads(1)
            .open()?;
        let keyspace = |name| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(MEBIBYTE)
            })
        };
        Ok(Open {
            cursors: keyspace("cursors")?,
            refused: keyspace("refused")?,
            database,
        })
    }

    fn write(
        &self,
        target: &str,
        mark: Mark,
        (first, refused): (u64, &[RefusedPoint]),
    ) -> Result<(), String> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        let cursor = postcard::to_stdvec(&(mark.position, mark.clock.millis()))
            .map_err(|error| error.to_string())?;
        batch.insert(&self.cursors, target, cursor);
        for (number, point) in (first..).zip(refused) {
            let json = serde_json::to_vec(point).map_err(|error| error.to_string())?;
            batch.insert(&self.refused, number.to_be_bytes(), json);
            if let Some(oldest) = number.checked_sub(KEPT_REFUSED) {
                batch.remove(&self.refused, oldest.to_be_bytes());
            }
        }
        batch.commit().map_err(text)
    }
}

fn number(key: &[u8]) -> Result<u64, String> {
    key.try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| format!("a key of {} bytes where 8 were written", key.len()))
}

fn closed() -> String {
    "it could not be opened again yet".to_owned()
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn text(error: fjall::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::name;

    use super::*;

    fn mark(position: Position) -> Mark {
        Mark {
            position,
            clock: Time::from_millis(position.cast_signed() * 10),
        }
    }

    fn refused(value: f64) -> RefusedPoint {
        let point = Point {
            sensor: name("井 3"),
            measurement: name("methane"),
            time: Time::from_millis(5),
            value,
            unit: name("%LEL"),
            flags: 4,
        };
        RefusedPoint::new(&point, Time::from_millis(9), "why")
    }

    #[test]
    fn each_target_has_a_cursor_that_survives() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(store.cursor("a"), Ok(None));
        store.commit("a", mark(7), &[]).unwrap();
        store.commit("b", mark(3), &[]).unwrap();
        store.commit("a", mark(8), &[]).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.cursor("a"), Ok(Some(mark(8))));
        assert_eq!(store.cursor("b"), Ok(Some(mark(3))));
    }

    #[test]
    fn the_newest_refused_points_are_kept_and_all_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let many: Vec<RefusedPoint> = (0..KEPT_REFUSED + 5).map(|n| refused(n as f64)).collect();
        store.commit("a", mark(1), &many).unwrap();
        store
            .commit("a", mark(2), &[refused(f64::INFINITY)])
            .unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.refused_in_all(), KEPT_REFUSED + 6);
        let kept = store.refused(usize::MAX).unwrap();
        assert_eq!(kept.len() as u64, KEPT_REFUSED);
        assert_eq!(kept[0].value, None);
        assert_eq!(kept[1], many[KEPT_REFUSED as usize + 4]);
    }
}
