//! The one connection that writes, and the memory that follows its commits: the alert book, the next numbers and the
//! journal position. Memory is read from the file, never the other way round.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use citywatch_model::Position;
use sqlx::{Row, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;

use super::alert::Alert;
use super::book::Book;
use super::next_id;
use crate::LedgerError;

/// The next number of each table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub alert: i64,
    pub warning: i64,
    pub delivery: i64,
    pub act: i64,
    pub event: i64,
}

/// How far the journal is known to be settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    /// On disk.
    pub stored: Position,
    /// Including epochs without transitions that only memory knows of.
    pub seen: Position,
    /// When `stored` was last written.
    pub written: Instant,
}

/// The one connection that writes, and the memory that follows its commits.
pub(crate) struct Writer {
    pub connection: SqliteConnection,
    pub book: Book,
    pub ids: Ids,
    pub position: Settled,
    /// A transaction is open; it holds the lock of the file.
    pub open: bool,
    /// A commit failed half-way, so memory may be behind the file.
    pub behind: bool,
}

impl Writer {
    pub async fn load(mut connection: SqliteConnection) -> Result<Writer, LedgerError> {
        let (book, ids, position) = read_memory(&mut connection).await?;
        Ok(Writer {
            connection,
            book,
            ids,
            position,
            open: false,
            behind: false,
        })
    }

    /// Ends a transaction that was abandoned or failed. Without an open one the database refuses, which is as well.
    async fn roll_back(&mut self) {
        if let Err(nothing_open) = sqlx::query("ROLLBACK").execute(&mut self.connection).await {
            tracing::debug!(%nothing_open, "no transaction to roll back");
        }
        self.open = false;
    }

    /// Brings file and memory into the state after the last commit.
    pub async fn settle(&mut self) -> Result<(), LedgerError> {
        if self.open {
            self.roll_back().await;
        }
        if self.behind {
            let seen = self.position.seen;
            (self.book, self.ids, self.position) = read_memory(&mut self.connection).await?;
            self.position.seen = self.position.seen.max(seen);
            self.behind = false;
        }
        Ok(())
    }
}

/// Open, or closed by force while the condition holds: each has a partial index of its own.
pub(super) const LIVE: &str = "SELECT body FROM alerts WHERE handling < 4 \
     UNION ALL SELECT body FROM alerts WHERE handling = 4 AND condition = 0";

async fn read_memory(
    connection: &mut SqliteConnection,
) -> Result<(Book, Ids, Settled), LedgerError> {
    let mut book = Book::default();
    let rows = sqlx::query(LIVE)
        .fetch_all(&mut *connection)
        .await
        .map_err(LedgerError::storage("read the open alerts"))?;
    for row in &rows {
        book.put(Alert::from_row(row)?);
    }
    let ids = Ids {
        alert: next_id(connection, "SELECT MAX(id) FROM alerts").await?,
        warning: next_id(connection, "SELECT MAX(id) FROM warnings").await?,
        delivery: next_id(connection, "SELECT MAX(id) FROM deliveries").await?,
        act: next_id(connection, "SELECT MAX(id) FROM acts").await?,
        event: next_id(connection, "SELECT MAX(id) FROM events").await?,
    };
    let stored: i64 = sqlx::query("SELECT position FROM ledger")
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(LedgerError::storage("read the position"))?;
    let stored = Position::try_from(stored).unwrap_or(0);
    Ok((
        book,
        ids,
        Settled {
            stored,
            seen: stored,
            written: Instant::now(),
        },
    ))
}

/// The writer while a session holds it. If the session ends without a commit, its transaction is rolled back at
/// once, before anybody else gets the writer.
pub(super) struct Held(pub Option<OwnedMutexGuard<Writer>>);

impl Deref for Held {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        self.0
            .as_ref()
            .expect("the writer is held until the session is dropped")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Writer {
        self.0
            .as_mut()
            .expect("the writer is held until the session is dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut writer) = self.0.take().filter(|writer| writer.open) else {
            return;
        };
        // without a runtime the process is ending, and the file rolls back by itself
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { writer.roll_back().await });
        }
    }
}
