//! The event log: what changed, numbered without end, so that a follower who was away goes on where it stopped.
//! Events are pruned by age; the ledger's rows are the truth, events only point at changes.

use citywatch_model::Time;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::warnings::WarningEntry;
use super::{Ledger, wall};
use crate::LedgerError;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Ascending; what a follower remembers.
    pub id: i64,
    /// When it was written, on the wall clock.
    pub time: Time,
    /// Such as `alert.raised`, `warning.issued` or `delivery.accepted`.
    pub kind: String,
    /// The alert, warning or delivery as it was then.
    pub data: serde_json::Value,
}

impl Ledger {
    /// Up to `limit` events after number `after`, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_after(&self, after: i64, limit: u32) -> Result<Vec<Event>, LedgerError> {
        let read = || LedgerError::storage("read events");
        let mut connection = self.reader().await?;
        // a commit shows in the file a moment before everything else has followed it
        let newest = *self.shared.newest_event.borrow();
        let rows = sqlx::query(
            "SELECT e.id AS event, e.at, e.kind, e.body AS data, w.* \
             FROM events e LEFT JOIN warnings w ON w.id = e.warning \
             WHERE e.id > $1 AND e.id <= $2 ORDER BY e.id LIMIT $3",
        )
        .bind(after)
        .bind(newest)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(read())?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    id: row.try_get("event").map_err(read())?,
                    time: Time::from_millis(row.try_get("at").map_err(read())?),
                    kind: row.try_get("kind").map_err(read())?,
                    data: data(row)?,
                })
            })
            .collect()
    }

    /// Forgets events and answers to idempotency keys beyond their age, all but the newest event, whose number
    /// must not be given again. Answers how many events went. For the program's timer; once an hour is enough.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self) -> Result<u64, LedgerError> {
        let before = (wall() - self.shared.settings.keep_events).millis();
        let failed = || LedgerError::storage("prune events");
        let mut session = self.begin().await?;
        let newest = session.ids.event - 1;
        // numbers ascend with time: this looks only at what goes
        let pruned = sqlx::query(
            "DELETE FROM events WHERE id < \
             COALESCE((SELECT id FROM events WHERE at >= $1 ORDER BY id LIMIT 1), $2)",
        )
        .bind(before)
        .bind(newest)
        .execute(session.connection().await?)
        .await
        .map_err(failed())?;
        sqlx::query("DELETE FROM answers WHERE at < $1")
            .bind(before)
            .execute(session.connection().await?)
            .await
            .map_err(failed())?;
        session.commit().await?;
        Ok(pruned.rows_affected())
    }
}

/// The body of an event; one of a warning stands in the warning's own row, which says the same but for what has
/// become of it since.
fn data(row: &SqliteRow) -> Result<serde_json::Value, LedgerError> {
    let body: Option<String> = row
        .try_get("data")
        .map_err(LedgerError::storage("read events"))?;
    match body {
        Some(body) => serde_json::from_str(&body),
        None => serde_json::to_value(WarningEntry::issued(row)?),
    }
    .map_err(LedgerError::corrupt("event"))
}
