//! The journal: everything that can change a result, in one order, on disk before anybody is told.
//!
//! # Format
//! One fjall database; its keyspace `blocks` maps the position of a block's first record (u64, big
//! endian) to the block: version (1 byte, now 1), CRC-32 of the rest (4 bytes, little endian), then in
//! postcard encoding the clock of the first record, the names that occur, and the records. A record
//! holds the step of its clock from the record before; times of an observation are differences to the
//! clock; registries and rules are JSON.
//!
//! # Invariants
//! * Positions are 1, 2, 3, … without a gap, within and across blocks, also after a restart or an error.
//! * A clock never falls, also if the wall clock was set back while the service was down.
//! * A block is written and synced whole or not at all, and holds at most 10,000 records.
//! * Whoever appends is answered after the sync; a reader sees a record after the sync. A record that was
//!   refused may still be found after an error: refused means "not promised", not "not there".
//! * All writing is done by one thread. Appends that arrive during one sync form the next block.
//!
//! Nothing here knows what a record means, but that an observation carries an arrival time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use citywatch_model::{Body, Position, Time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Clock;
use crate::metrics::JournalMetrics;

mod codec;
mod error;
mod group;
mod reader;
mod shared;
mod space;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use error::JournalError;
pub use reader::Reader;
pub use space::FreeSpace;

use group::{Append, Command};
use shared::Shared;
use writer::Writer;

/// Records of one block, and of one batch that a reader gets, at most.
pub const BLOCK_RECORDS: usize = 10_000;

/// Where the journal lives and how it behaves.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// Its folder; made if absent.
    pub dir: PathBuf,
    /// Below this many free bytes appends are refused, since a full disk would cost more than readings.
    pub free_space_mark: u64,
    /// A tick is written when nothing arrived for this long (wall time).
    pub tick_after: Duration,
    /// Newest records kept in memory for readers; who is further behind reads from disk.
    pub recent_records: usize,
    /// Records that may wait for a sync; further appends wait before they are queued.
    pub waiting_records: usize,
}

impl JournalConfig {
    /// The defaults, for a journal in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> JournalConfig {
        JournalConfig {
            dir: dir.into(),
            free_space_mark: 256 * 1024 * 1024,
            tick_after: Duration::from_secs(1),
            recent_records: 20_000,
            waiting_records: 50_000,
        }
    }
}

/// A handle; clones share one journal, which ends when it is closed or the last handle is gone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Sender<Command>,
    waiting: Arc<Semaphore>,
    waiting_limit: usize,
    shared: Arc<Shared>,
    ticking: Arc<AtomicBool>,
    space: FreeSpace,
}

/// Bodies whose place in the journal is settled.
pub(crate) enum Queued {
    /// There were none; the position of the last record then.
    Nothing(Position),
    /// On their way to the disk.
    Waiting {
        answered: oneshot::Receiver<Result<Position, JournalError>>,
        _permit: OwnedSemaphorePermit,
    },
}

impl Queued {
    /// Position of the last of them, once they are on disk.
    pub(crate) async fn synced(self) -> Result<Position, JournalError> {
        match self {
            Queued::Nothing(last) => Ok(last),
            Queued::Waiting { answered, _permit } => {
                answered.await.unwrap_or(Err(JournalError::Closed))
            }
        }
    }
}

impl Journal {
    /// Opens or makes the journal and starts its writer thread.
    ///
    /// # Errors
    /// If the folder is in use, cannot be read or written, or holds a damaged last block.
    pub fn open(
        config: JournalConfig,
        clock: Clock,
        metrics: &prometheus::Registry,
    ) -> Result<Journal, JournalError> {
        let metrics = JournalMetrics::register(metrics)
            .map_err(|error| JournalError::Metrics(error.to_string()))?;
        let shared = Arc::new(Shared::open(&config)?);
        let ticking = Arc::new(AtomicBool::new(true));
        let (commands, queue) = channel();
        let waiting_limit = config.waiting_records.clamp(1, Semaphore::MAX_PERMITS);
        let path = config.dir.clone();
        let space = FreeSpace::new(&path, config.free_space_mark);
        let writer = Writer::new(config, shared.clone(), clock, metrics, ticking.clone());
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| JournalError::Open {
                path,
                reason: error.to_string(),
            })?;
        let waiting = Arc::new(Semaphore::new(waiting_limit));
        Ok(Journal {
            inner: Arc::new(Inner {
                commands,
                waiting,
                waiting_limit,
                shared,
                ticking,
                space,
            }),
        })
    }

    /// Appends `bodies` as neighbours and returns the position of the last one, once all are on disk.
    /// Dropping the future does not take them back.
    ///
    /// # Errors
    /// If nothing was promised: see [`JournalError::may_retry`].
    pub async fn append(&self, bodies: Vec<Body>) -> Result<Position, JournalError> {
        self.queue(bodies).await?.synced().await
    }

    /// The same in two steps, for those who append much at a time and must keep its order: what is queued first
    /// stands first.
    ///
    /// # Errors
    /// If a body cannot be written, or the journal is closed.
    pub(crate) async fn queue(&self, bodies: Vec<Body>) -> Result<Queued, JournalError> {
        if bodies.is_empty() {
            return Ok(Queued::Nothing(self.last()));
        }
        for body in &bodies {
            codec::check(body).map_err(|error| JournalError::Unwritable {
                reason: error.to_string(),
            })?;
        }
        let arrived = Instant::now();
        let permits = u32::try_from(bodies.len().min(self.inner.waiting_limit)).unwrap_or(u32::MAX);
        let permit = self
            .inner
            .waiting
            .clone()
            .acquire_many_owned(permits)
            .await
            .map_err(|_| JournalError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Append(Append {
            bodies,
            arrived,
            answer,
        });
        self.inner
            .commands
            .send(command)
            .map_err(|_| JournalError::Closed)?;
        Ok(Queued::Waiting {
            answered,
            _permit: permit,
        })
    }

    /// A reader of every record after `after`.
    #[must_use]
    pub fn reader(&self, after: Position) -> Reader {
        Reader::new(self.inner.shared.clone(), after)
    }

    /// Position of the last synced record; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> Position {
        self.inner.shared.progress().synced
    }

    /// Clock of the last synced record; [`Time::MIN`] if there is none.
    #[must_use]
    pub fn last_clock(&self) -> Time {
        self.inner.shared.progress().clock
    }

    /// Position of the oldest record that is still there; 1 if there is none.
    #[must_use]
    pub fn first(&self) -> Position {
        self.inner.shared.first()
    }

    /// Deletes blocks that lie wholly below `position` and returns the first position left.
    ///
    /// # Errors
    /// If the journal is closed or cannot be written.
    pub async fn cut_below(&self, position: Position) -> Result<Position, JournalError> {
        let (answer, answered) = oneshot::channel();
        self.inner
            .commands
            .send(Command::Cut(position, answer))
            .map_err(|_| JournalError::Closed)?;
        answered.await.unwrap_or(Err(JournalError::Closed))
    }

    /// What must stay free on its disk.
    #[must_use]
    pub fn free_space(&self) -> FreeSpace {
        self.inner.space.clone()
    }

    /// Writes no further ticks; for the end of a replay and for tests.
    pub fn stop_ticks(&self) {
        self.inner.ticking.store(false, Ordering::Relaxed);
    }

    /// Answers everything that was appended before, then takes no more. Readers go on to the last record;
    /// the folder is free once they and all handles are gone.
    pub async fn close(self) {
        let (answer, answered) = oneshot::channel();
        // an error means that it is closed already
        if self.inner.commands.send(Command::Close(answer)).is_ok() {
            answered.await.unwrap_or(());
        }
    }
}
