//! What the outbox has in its hands right now, shared with the ledger so that a withdrawal can be exact: no
//! attempt starts while the gate is held, none starts after a cancellation, and whoever may have been reached is
//! known before the database knows it. It holds nothing that must survive the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

/// Where a delivery stands between two writes to the ledger.
#[derive(Debug, Clone, Copy, Default)]
struct Stage {
    /// An attempt has started, so the recipient may have it.
    attempted: bool,
    /// No further attempt may start.
    cancelled: bool,
}

/// The deliveries that the outbox holds.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    gate: Arc<RwLock<()>>,
    stages: Mutex<HashMap<i64, Stage>>,
}

impl Flight {
    fn stages(&self) -> MutexGuard<'_, HashMap<i64, Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outbox takes a delivery up.
    pub fn enter(&self, delivery: i64) {
        self.stages().entry(delivery).or_default();
    }

    /// The outbox is done with a delivery and the ledger knows how it ended.
    pub fn leave(&self, delivery: i64) {
        self.stages().remove(&delivery);
    }

    /// Asks to start an attempt; waits while somebody holds the gate. `false` if it was cancelled.
    pub async fn start(&self, delivery: i64) -> bool {
        let _open = self.gate.read().await;
        let mut stages = self.stages();
        let stage = stages.entry(delivery).or_default();
        stage.attempted |= !stage.cancelled;
        !stage.cancelled
    }

    /// Keeps attempts from starting until the guard is dropped.
    pub async fn hold(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }

    /// No attempt of these starts any more.
    pub fn cancel(&self, deliveries: &[i64]) {
        let mut stages = self.stages();
        for delivery in deliveries {
            if let Some(stage) = stages.get_mut(delivery) {
                stage.cancelled = true;
            }
        }
    }

    pub fn is_cancelled(&self, delivery: i64) -> bool {
        self.stages()
            .get(&delivery)
            .is_some_and(|stage| stage.cancelled)
    }

    /// Whether an attempt has started in this process.
    pub fn was_attempted(&self, delivery: i64) -> bool {
        self.stages()
            .get(&delivery)
            .is_some_and(|stage| stage.attempted)
    }
}
