//! One transaction of the ledger. A session holds the writer, writes rows as it goes, and keeps what memory and
//! the outbox must learn until the commit has succeeded. Dropped before, it leaves nothing: what it began is rolled
//! back before the next session begins. The commit itself runs to its end even when the caller goes away.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use citywatch_model::{Name, Position, Time};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard};

use super::alert::Alert;
use super::book::Book;
use super::queue::Job;
use super::{Ledger, Shared, next_id, wall};
use crate::LedgerError;

/// The next number of each table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub alert: i64,
    pub transition: i64,
    pub warning: i64,
    pub delivery: i64,
    pub attempt: i64,
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
    connection: SqliteConnection,
    pub book: Book,
    pub ids: Ids,
    pub position: Settled,
    /// A transaction is open; it holds the lock of the file.
    open: bool,
    /// A commit failed half-way, so memory may be behind the file.
    behind: bool,
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
    async fn settle(&mut self) -> Result<(), LedgerError> {
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

async fn read_memory(
    connection: &mut SqliteConnection,
) -> Result<(Book, Ids, Settled), LedgerError> {
    let mut book = Book::default();
    let rows =
        sqlx::query("SELECT body FROM alerts WHERE handling < 4 OR condition = 0 ORDER BY id")
            .fetch_all(&mut *connection)
            .await
            .map_err(LedgerError::storage("read the open alerts"))?;
    for row in &rows {
        book.put(Alert::from_row(row)?);
    }
    let ids = Ids {
        alert: next_id(connection, "SELECT MAX(id) FROM alerts").await?,
        transition: next_id(connection, "SELECT MAX(id) FROM transitions").await?,
        warning: next_id(connection, "SELECT MAX(id) FROM warnings").await?,
        delivery: next_id(connection, "SELECT MAX(id) FROM deliveries").await?,
        attempt: next_id(connection, "SELECT MAX(id) FROM attempts").await?,
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

/// What was done, for the acts table; whom and what it concerns is optional.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Concerns {
    pub alert: Option<i64>,
    pub warning: Option<i64>,
    pub delivery: Option<i64>,
}

pub(crate) struct Session {
    pub shared: Arc<Shared>,
    writer: Held,
    pub ids: Ids,
    /// The service's clock.
    pub now: Time,
    /// The wall clock.
    pub wall: Time,
    alerts: Vec<Alert>,
    position: Option<Position>,
    jobs: Vec<Job>,
    cancelled: Vec<i64>,
    gate: Option<OwnedRwLockWriteGuard<()>>,
}

/// The writer while a session holds it. If the session ends without a commit, its transaction is rolled back at
/// once, before anybody else gets the writer.
struct Held(Option<OwnedMutexGuard<Writer>>);

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

impl Ledger {
    /// Begins a transaction; waits for the one before.
    pub(crate) async fn begin(&self) -> Result<Session, LedgerError> {
        let mut writer = Arc::clone(&self.shared.writer).lock_owned().await;
        writer.settle().await?;
        writer.open = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut writer.connection)
            .await
            .map_err(LedgerError::storage("begin a transaction"))?;
        Ok(Session {
            shared: Arc::clone(&self.shared),
            ids: writer.ids,
            writer: Held(Some(writer)),
            now: self.now(),
            wall: wall(),
            alerts: Vec::new(),
            position: None,
            jobs: Vec::new(),
            cancelled: Vec::new(),
            gate: None,
        })
    }

    /// Position bookkeeping that needs no transaction.
    pub(super) async fn note_position(&self, position: Position) -> Settled {
        let mut writer = self.shared.writer.lock().await;
        writer.position.seen = writer.position.seen.max(position);
        writer.position
    }
}

impl Session {
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }

    /// The live alert of that rule and subject, as this transaction sees it.
    pub fn live_alert(&self, rule: Name, subject: Name) -> Option<&Alert> {
        let staged = self
            .alerts
            .iter()
            .rev()
            .find(|alert| alert.rule == rule && alert.subject == subject);
        match staged {
            Some(alert) => alert.is_live().then_some(alert),
            None => self.writer.book.get(rule, subject),
        }
    }

    pub fn settled(&self) -> Settled {
        self.writer.position
    }

    /// Writes an alert, new or changed.
    pub async fn save_alert(&mut self, alert: &Alert) -> Result<(), LedgerError> {
        alert.save(&mut self.writer.connection).await?;
        self.alerts.push(alert.clone());
        Ok(())
    }

    /// Moves the journal position.
    pub async fn save_position(&mut self, position: Position) -> Result<(), LedgerError> {
        sqlx::query("UPDATE ledger SET position = $1")
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .execute(&mut self.writer.connection)
            .await
            .map_err(LedgerError::storage("write the position"))?;
        self.position = Some(position);
        Ok(())
    }

    /// Writes an event for those who follow along.
    pub async fn event<T: Serialize>(&mut self, kind: &str, body: &T) -> Result<(), LedgerError> {
        let id = self.ids.event;
        self.ids.event += 1;
        sqlx::query("INSERT INTO events (id, at, kind, body) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(self.wall.millis())
            .bind(kind)
            .bind(super::to_json(body))
            .execute(&mut self.writer.connection)
            .await
            .map_err(LedgerError::storage("write an event"))?;
        Ok(())
    }

    /// Writes who did what.
    pub async fn act<T: Serialize>(
        &mut self,
        actor: &super::Actor,
        act: &str,
        concerns: Concerns,
        body: &T,
    ) -> Result<(), LedgerError> {
        let id = self.ids.act;
        self.ids.act += 1;
        sqlx::query(
            "INSERT INTO acts (id, at, actor, role, origin, act, alert, warning, delivery, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id)
        .bind(self.now.millis())
        .bind(actor.name.as_str())
        .bind(actor.role.as_str())
        .bind(actor.from.as_str())
        .bind(act)
        .bind(concerns.alert)
        .bind(concerns.warning)
        .bind(concerns.delivery)
        .bind(super::to_json(body))
        .execute(&mut self.writer.connection)
        .await
        .map_err(LedgerError::storage("write an act"))?;
        Ok(())
    }

    /// The outbox gets these once they are committed.
    pub fn queue(&mut self, jobs: impl IntoIterator<Item = Job>) {
        self.jobs.extend(jobs);
    }

    /// The outbox forgets these once that is committed.
    pub fn cancel(&mut self, deliveries: &[i64]) {
        self.cancelled.extend_from_slice(deliveries);
    }

    /// From here until the end of the session no attempt starts.
    pub async fn hold_attempts(&mut self) {
        if self.gate.is_none() {
            self.gate = Some(self.shared.flight.hold().await);
        }
    }

    /// Makes it last, then tells memory, outbox and followers.
    pub async fn commit(self) -> Result<(), LedgerError> {
        let ended = |_| LedgerError::storage("commit")(sqlx::Error::WorkerCrashed);
        tokio::spawn(self.carry_out()).await.map_err(ended)?
    }

    async fn carry_out(mut self) -> Result<(), LedgerError> {
        self.writer.behind = true;
        sqlx::query("COMMIT")
            .execute(&mut self.writer.connection)
            .await
            .map_err(LedgerError::storage("commit"))?;
        self.writer.behind = false;
        self.writer.open = false;
        let committed = Instant::now();
        let newest_event = self.ids.event - 1;
        self.writer.ids = self.ids;
        for alert in self.alerts.drain(..) {
            let (id, after) = (alert.id, alert.clone());
            let before = self.writer.book.put(alert);
            let before = before.filter(|before| before.id == id);
            self.shared
                .metrics
                .alert_moved(before.as_ref(), Some(&after));
        }
        if let Some(position) = self.position {
            let seen = self.writer.position.seen.max(position);
            self.writer.position = Settled {
                stored: position,
                seen,
                written: committed,
            };
            self.shared.position.store(position, Ordering::Release);
        }
        self.shared.flight.cancel(&self.cancelled);
        for job in &self.jobs {
            self.shared.metrics.delivery_reached(&job.channel, "queued");
        }
        if let Some(outbox) = self
            .shared
            .outbox
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            outbox.put(self.jobs.drain(..), committed);
        }
        self.shared.newest_event.send_if_modified(|newest| {
            let newer = newest_event > *newest;
            *newest = newest_event.max(*newest);
            newer
        });
        Ok(())
    }
}
