//! The journal's blocks on disk. This is the only file of the journal that names fjall; it turns fjall's
//! errors into text and judges nothing.

use std::path::Path;

use citywatch_model::{Position, Record, Time};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::JournalError;
use super::codec;

const MEBIBYTE: u64 = 1024 * 1024;
/// Keys removed in one write, so that a large cut holds nobody up.
const CUT_BATCH: usize = 1_000;

/// An open database.
pub(super) struct Store {
    database: Database,
    blocks: Keyspace,
}

/// The two ends of what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Position of the first record; 1 if there is none yet.
    pub first: Position,
    /// Position of the last record; 0 if there is none yet.
    pub last: Position,
    /// Clock of the last record.
    pub clock: Time,
}

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Store, JournalError> {
        let opened = |database: Database| {
            let options = || {
                // small: blocks are written once, read mostly from memory, and whole
                KeyspaceCreateOptions::default().max_memtable_size(8 * MEBIBYTE)
            };
            let blocks = database.keyspace("blocks", options)?;
            Ok(Store { database, blocks })
        };
        Database::builder(dir)
            .cache_size(4 * MEBIBYTE)
            .max_journaling_size(128 * MEBIBYTE)
            .worker_threads(2)
            .open()
            .and_then(opened)
            .map_err(|error| match error {
                fjall::Error::Locked => JournalError::Locked {
                    path: dir.to_owned(),
                },
                other => JournalError::Open {
                    path: dir.to_owned(),
                    reason: other.to_string(),
                },
            })
    }

    pub(super) fn extent(&self) -> Result<Extent, JournalError> {
        let nothing = Extent {
            first: 1,
            last: 0,
            clock: Time::MIN,
        };
        let Some(block) = self.blocks.last_key_value() else {
            return Ok(nothing);
        };
        let records = read(block)?;
        let first = match self.blocks.first_key_value() {
            Some(block) => position_of(&block.key().map_err(unreadable)?)?,
            None => nothing.first,
        };
        let end = records.last().map(|record| (record.position, record.clock));
        let (last, clock) = end.unwrap_or((nothing.last, nothing.clock));
        Ok(Extent { first, last, clock })
    }

    /// Writes blocks as one atomic step; returns when they are on disk.
    pub(super) fn write(&self, blocks: Vec<(Position, Vec<u8>)>) -> Result<(), String> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (first, bytes) in blocks {
            batch.insert(&self.blocks, first.to_be_bytes(), bytes);
        }
        batch.commit().map_err(|error| error.to_string())
    }

    /// The records after `after`, from whole neighbouring blocks, until at least `enough` or no more.
    pub(super) fn read_after(
        &self,
        after: Position,
        up_to: Position,
        enough: usize,
    ) -> Result<Vec<Record>, JournalError> {
        let wanted = after + 1;
        let from = match self.blocks.range(..=wanted.to_be_bytes()).next_back() {
            Some(block) => position_of(&block.key().map_err(unreadable)?)?,
            None => wanted,
        };
        let mut records = Vec::new();
        for block in self.blocks.range(from.to_be_bytes()..=up_to.to_be_bytes()) {
            let block = read(block)?;
            // a block is whole or absent, so one that would exceed the limit waits for the next turn
            if !records.is_empty() && records.len() + block.len() > enough {
                break;
            }
            records.extend(block.into_iter().filter(|record| record.position > after));
        }
        Ok(records)
    }

    /// Deletes every block whose records all lie below `position`. Returns the first position left.
    pub(super) fn cut_below(&self, position: Position) -> Result<Position, String> {
        let text = |error: fjall::Error| error.to_string();
        // the block that holds `position` starts at or below it
        let Some(kept) = self.blocks.range(..=position.to_be_bytes()).next_back() else {
            return Ok(position);
        };
        let kept = kept.key().map_err(text)?;
        let mut doomed = self.blocks.range(..kept.clone());
        loop {
            let keys: Vec<_> = doomed
                .by_ref()
                .take(CUT_BATCH)
                .map(fjall::Guard::key)
                .collect();
            if keys.is_empty() {
                break;
            }
            let mut batch = self
                .database
                .batch()
                .durability(Some(PersistMode::SyncData));
            for key in keys {
                batch.remove(&self.blocks, key.map_err(text)?);
            }
            batch.commit().map_err(text)?;
        }
        position_of(&kept).map_err(|error| error.to_string())
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unreadable(error: fjall::Error) -> JournalError {
    JournalError::Unreadable {
        reason: error.to_string(),
    }
}

fn position_of(key: &[u8]) -> Result<Position, JournalError> {
    let bytes = key.try_into().map_err(|_| JournalError::Unreadable {
        reason: format!("a key of {} bytes where 8 were written", key.len()),
    })?;
    Ok(Position::from_be_bytes(bytes))
}

fn read(block: fjall::Guard) -> Result<Vec<Record>, JournalError> {
    let (key, bytes) = block.into_inner().map_err(unreadable)?;
    let first = position_of(&key)?;
    codec::decode(first, &bytes).map_err(|error| JournalError::Damaged {
        position: first,
        reason: error.to_string(),
    })
}
