//! The engine on threads of its own, as the rest of the program sees it: records in, epochs out. Compiles rule
//! sets on the way in, so that a broken one is refused before anything has been read.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use citywatch_model::{Body, Position, Record, Time};

use crate::dataflow::{self, Workers};
use crate::engine::core::Control;
use crate::engine::snapshot::{Resumed, SnapshotError};
use crate::epoch::{Batch, OnEpoch, Shared};
use crate::in_force;
use crate::problem::Problems;

/// Epochs that wait for a busy worker before `submit` blocks.
const QUEUE: usize = 4;

/// Why the engine refuses.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody would do the work.
    #[error("0 workers cannot run rules: give at least 1")]
    NoWorkers,
    /// The operating system gave no thread.
    #[error("the engine could not start {workers} workers: {reason}; give fewer workers")]
    Start {
        /// How many were asked for.
        workers: usize,
        /// What timely says.
        reason: String,
    },
    /// A rule set in the records does not compile. Nothing of the epoch has been read.
    #[error("the rules of record {position} are not valid:\n{problems}")]
    Rules {
        /// The record.
        position: Position,
        /// Every mistake.
        problems: Problems,
    },
    /// A worker is gone.
    #[error(
        "the engine has stopped because a worker or its receiver panicked: start it again from the journal"
    )]
    Stopped,
}

/// The running engine. Dropping it finishes what was submitted.
pub struct Engine {
    queues: Mutex<Vec<SyncSender<Batch>>>,
    workers: Option<Workers>,
}

impl Engine {
    /// Starts `workers` threads that know no rules and no sensors. `on_epoch` is called in order, once for each
    /// epoch submitted.
    ///
    /// # Errors
    /// If there are no workers or no threads for them.
    pub fn start(workers: usize, on_epoch: OnEpoch) -> Result<Engine, EngineError> {
        Engine::start_with(Resumed::nothing(workers), on_epoch)
    }

    /// Starts `workers` threads that go on from `snapshot`, however many wrote it: the next record to submit is
    /// the one after its position.
    ///
    /// # Errors
    /// If the snapshot cannot be read, or there are no workers or no threads for them.
    pub fn resume(
        workers: usize,
        snapshot: &[u8],
        on_epoch: OnEpoch,
    ) -> Result<Engine, SnapshotError> {
        if workers == 0 {
            return Err(EngineError::NoWorkers.into());
        }
        let resumed = Resumed::read(snapshot, workers)?;
        Ok(Engine::start_with(resumed, on_epoch)?)
    }

    fn start_with(state: Resumed, on_epoch: OnEpoch) -> Result<Engine, EngineError> {
        let workers = state.cores.len();
        if workers == 0 {
            return Err(EngineError::NoWorkers);
        }
        let (senders, receivers) = (0..workers).map(|_| sync_channel(QUEUE)).unzip();
        let started = dataflow::start(receivers, state, on_epoch);
        let started = started.map_err(|reason| EngineError::Start { workers, reason })?;
        Ok(Engine {
            queues: Mutex::new(senders),
            workers: Some(started),
        })
    }

    /// Hands over the next records, in the order of their positions. Blocks while the engine is behind.
    ///
    /// # Errors
    /// If a rule set among them does not compile, or the engine has stopped.
    pub fn submit(&self, records: Arc<[Record]>) -> Result<(), EngineError> {
        let mut controls = Vec::new();
        for record in records.iter() {
            match &record.body {
                Body::Rules(rules) => {
                    let position = record.position;
                    let set = in_force::for_engine(rules)
                        .map_err(|problems| EngineError::Rules { position, problems })?;
                    let rules = Some(Arc::clone(rules));
                    controls.push((position, Control::Rules(Arc::new(set), rules)));
                }
                Body::Registry(change) => {
                    controls.push((record.position, Control::Registry(Arc::clone(change))))
                }
                Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => {}
            }
        }
        self.submit_with(Shared::Slice(records), controls)
    }

    /// The same with ready controls; one whose position lies before the first record comes before it.
    pub(crate) fn submit_with(
        &self,
        records: Shared,
        controls: Vec<(Position, Control)>,
    ) -> Result<(), EngineError> {
        self.send(&Batch {
            records: (records, None),
            controls: controls.into(),
            snapshot: false,
        })
    }

    /// Asks for the state after everything that was submitted so far. It comes with an epoch of its own, without
    /// records, as [`Epoch::snapshot`](crate::Epoch::snapshot); the engine stands still while it is written.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn snapshot(&self) -> Result<(), EngineError> {
        self.send(&Batch {
            records: (Shared::Slice(Arc::new([])), None),
            controls: Arc::new([]),
            snapshot: true,
        })
    }

    /// Finishes everything that was submitted. `end` is where a backtest's clock ends: moments up to and
    /// including it fire and are reported as one more epoch.
    ///
    /// # Errors
    /// If the engine has stopped before its time.
    pub fn close(mut self, end: Option<Time>) -> Result<(), EngineError> {
        if end.is_some() {
            self.send(&Batch {
                records: (Shared::Slice(Arc::new([])), end),
                controls: Arc::new([]),
                snapshot: false,
            })?;
        }
        self.join()
    }

    fn send(&self, batch: &Batch) -> Result<(), EngineError> {
        // all queues under one lock, so that every worker sees the same order
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues
            .iter()
            .try_for_each(|queue| queue.send(batch.clone()))
            .map_err(|_| EngineError::Stopped)
    }

    fn join(&mut self) -> Result<(), EngineError> {
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let finished = self.workers.take().is_none_or(Workers::join);
        if finished {
            Ok(())
        } else {
            Err(EngineError::Stopped)
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // whoever cares calls `close`; the panic itself has been printed by its thread
        self.join().ok();
    }
}
