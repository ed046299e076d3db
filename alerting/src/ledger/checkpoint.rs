//! Checkpoints: moves what SQLite's write-ahead log holds into the file, on a connection and a task of its own. They
//! never run inside a commit, and wait for the writer only when the log has grown beyond a bound.
//!
//! A checkpoint that reaches the end of the log lets the next commit begin the log anew, over the old one: the file
//! does not grow then, and a sync has only data to write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tokio::sync::{Mutex, mpsc};

use super::writer::Writer;
use crate::LedgerError;

/// Statements between two checkpoints: about a thousand pages of the log, as many as SQLite would take.
const STATEMENTS: usize = 500;
/// After a commit its deliveries have disk and processors first.
const AFTER: Duration = Duration::from_millis(20);
/// Times that a checkpoint goes after commits that came while it ran.
const ROUNDS: usize = 4;
/// Pages of the log from which on commits wait for the checkpoint: 16 MiB.
const MAX_PAGES: i64 = 4_096;

/// Asks for checkpoints; the task ends when this is dropped.
pub(super) struct Checkpoints {
    statements: AtomicUsize,
    due: mpsc::Sender<()>,
}

impl Checkpoints {
    /// Starts the task with a connection of its own.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub async fn start(
        options: &SqliteConnectOptions,
        writer: &Arc<Mutex<Writer>>,
    ) -> Result<Checkpoints, LedgerError> {
        let connection = options
            .connect()
            .await
            .map_err(LedgerError::storage("open the file for checkpoints"))?;
        let (due, inbox) = mpsc::channel(1);
        tokio::spawn(run(connection, Arc::downgrade(writer), inbox));
        Ok(Checkpoints {
            statements: AtomicUsize::new(0),
            due,
        })
    }

    /// So many statements more are committed.
    pub fn committed(&self, statements: usize) {
        let before = self.statements.fetch_add(statements, Ordering::Relaxed);
        if before + statements >= STATEMENTS {
            self.statements.store(0, Ordering::Relaxed);
            if self.due.try_send(()).is_err() {
                tracing::trace!("the checkpoint that is due already takes this in too");
            }
        }
    }
}

async fn run(
    mut connection: SqliteConnection,
    writer: Weak<Mutex<Writer>>,
    mut due: mpsc::Receiver<()>,
) {
    while due.recv().await.is_some() {
        tokio::time::sleep(AFTER).await;
        if let Err(error) = checkpoint(&mut connection, &writer).await {
            tracing::warn!(%error, "a checkpoint of the ledger failed; its log grows until the next one");
        }
    }
}

async fn checkpoint(
    connection: &mut SqliteConnection,
    writer: &Weak<Mutex<Writer>>,
) -> Result<(), LedgerError> {
    let mut pages = passive(connection).await?;
    for _ in 1..ROUNDS {
        // commits that came meanwhile are few, and so on: the end is soon reached
        let before = std::mem::replace(&mut pages, passive(connection).await?);
        if pages <= before {
            return Ok(());
        }
    }
    if pages > MAX_PAGES
        && let Some(writer) = writer.upgrade()
    {
        // nothing is added meanwhile, so this one reaches the end
        let _held = writer.lock_owned().await;
        passive(connection).await?;
    }
    Ok(())
}

/// Moves what the log holds and no reader needs; answers how many pages it held at the beginning.
async fn passive(connection: &mut SqliteConnection) -> Result<i64, LedgerError> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(1))
        .map_err(LedgerError::storage("checkpoint"))
}
