//! What the writer and the readers share: the open store, the newest records, and how far the sync is.
//! Only the writer changes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use citywatch_model::{Position, Record, Time};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::store::{Extent, Store};
use super::{BLOCK_RECORDS, JournalConfig, JournalError};

/// How far the journal is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Position of the last record on disk.
    pub synced: Position,
    /// Its clock.
    pub clock: Time,
    /// Whether more will come.
    pub closed: bool,
}

pub(super) struct Shared {
    /// `None` while it is being reopened after an error. Nobody keeps a handle beyond the guard, since
    /// reopening needs all of them closed.
    store: RwLock<Option<Store>>,
    recent: Mutex<Recent>,
    recent_limit: usize,
    first: AtomicU64,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Recent {
    blocks: VecDeque<Arc<[Record]>>,
    records: usize,
}

impl Shared {
    pub(super) fn open(config: &JournalConfig) -> Result<Shared, JournalError> {
        std::fs::create_dir_all(&config.dir).map_err(|error| JournalError::Open {
            path: config.dir.clone(),
            reason: error.to_string(),
        })?;
        let store = Store::open(&config.dir)?;
        let Extent { first, last, clock } = store.extent()?;
        Ok(Shared {
            store: RwLock::new(Some(store)),
            recent: Mutex::default(),
            recent_limit: config.recent_records,
            first: AtomicU64::new(first),
            progress: watch::Sender::new(Progress {
                synced: last,
                clock,
                closed: false,
            }),
        })
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn first(&self) -> Position {
        self.first.load(Ordering::Acquire)
    }

    pub(super) fn set_first(&self, first: Position) {
        self.first.store(first, Ordering::Release);
    }

    /// Calls `read` with the open store; `None` while there is none.
    pub(super) fn with_store<T>(&self, read: impl FnOnce(&Store) -> T) -> Option<T> {
        self.store.read().as_ref().map(read)
    }

    /// Closes the store, so that it can be opened anew.
    pub(super) fn close_store(&self) {
        *self.store.write() = None;
    }

    /// Puts a reopened store in place; what it holds may end behind the last record that was answered.
    pub(super) fn reopened(&self, store: Store, extent: Extent) {
        *self.store.write() = Some(store);
        *self.recent.lock() = Recent::default();
        self.progress.send_modify(|progress| {
            progress.synced = extent.last;
            progress.clock = extent.clock;
        });
    }

    /// Shows synced blocks to readers.
    pub(super) fn publish(&self, blocks: impl IntoIterator<Item = Arc<[Record]>>) {
        let mut end = None;
        let mut recent = self.recent.lock();
        for block in blocks {
            end = block
                .last()
                .map(|record| (record.position, record.clock))
                .or(end);
            recent.records += block.len();
            recent.blocks.push_back(block);
        }
        // the newest block always stays, whatever its size
        while recent.records > self.recent_limit && recent.blocks.len() > 1 {
            let dropped = recent.blocks.pop_front().map_or(0, |block| block.len());
            recent.records -= dropped;
        }
        drop(recent);
        if let Some((synced, clock)) = end {
            self.progress.send_modify(|progress| {
                progress.synced = synced;
                progress.clock = clock;
            });
        }
    }

    pub(super) fn finish(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Records after `after`, from memory or else from disk; `None` if there are none yet, or none can be
    /// read before the store is open again.
    pub(super) fn read_after(
        &self,
        after: Position,
    ) -> Result<Option<Arc<[Record]>>, JournalError> {
        let synced = self.progress().synced;
        if after >= synced {
            return Ok(None);
        }
        if let Some(block) = self.recent.lock().after(after) {
            return Ok(Some(block));
        }
        let Some(records) = self.with_store(|store| store.read_after(after, synced, BLOCK_RECORDS))
        else {
            return Ok(None);
        };
        let records = records?;
        match records.first() {
            Some(record) if record.position == after + 1 => Ok(Some(records.into())),
            first => {
                let first = first.map_or_else(|| self.first(), |record| record.position);
                Err(JournalError::Cut { after, first })
            }
        }
    }
}

impl Recent {
    fn after(&self, after: Position) -> Option<Arc<[Record]>> {
        let starts = |block: &Arc<[Record]>| block.first().map_or(0, |record| record.position);
        let next = self
            .blocks
            .partition_point(|block| starts(block) <= after + 1);
        let block = self.blocks.get(next.checked_sub(1)?)?;
        let skip = usize::try_from(after + 1 - starts(block)).ok()?;
        match skip {
            0 => Some(block.clone()),
            skip if skip < block.len() => Some(block[skip..].into()),
            _ => None,
        }
    }
}
