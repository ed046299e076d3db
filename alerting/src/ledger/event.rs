//! The event log: what changed, numbered without end, so that a follower who was away goes on where it stopped.
//! Events are pruned by age; the ledger's rows are the truth, events only point at changes.

use citywatch_model::Time;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use super::warnings::WarningEntry;
use super::{Ledger, Seen, wall};
use crate::LedgerError;
use crate::accounts::View;

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

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number.
    pub id: i64,
    /// The event, where the reader may see it.
    pub event: Option<Event>,
}

impl Ledger {
    /// Up to `limit` events after number `after`, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_after(&self, after: i64, limit: u32) -> Result<Vec<Event>, LedgerError> {
        let view = View::whole();
        let rows = self.seen(&view).event_rows(after, limit).await?;
        Ok(rows.into_iter().filter_map(|row| row.event).collect())
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

impl Seen<'_> {
    /// Up to `limit` events after number `after`, oldest first; of those outside only the numbers, so that the reader
    /// can tell what he may not see from what was forgotten.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn event_rows(&self, after: i64, limit: u32) -> Result<Vec<EventRow>, LedgerError> {
        let read = || LedgerError::storage("read events");
        let mut connection = self.ledger.reader().await?;
        // a commit shows in the file a moment before everything else has followed it
        let newest = *self.ledger.shared.newest_event.borrow();
        let mut query = QueryBuilder::new(
            "SELECT e.id AS event, e.at, e.kind, e.body AS data, w.*, CASE WHEN 1 = 1",
        );
        self.view.narrow_by_alert(&mut query, "e");
        query.push(
            " THEN 1 ELSE 0 END AS seen FROM events e LEFT JOIN warnings w ON w.id = e.warning WHERE e.id > ",
        );
        query
            .push_bind(after)
            .push(" AND e.id <= ")
            .push_bind(newest);
        // SQLite prepares a statement anew whenever another number is bound to its limit
        query.push(" ORDER BY e.id LIMIT ").push(limit);
        let rows = query.build().fetch_all(&mut *connection).await;
        let rows = rows.map_err(read())?;
        rows.iter()
            .map(|row| {
                let id = row.try_get("event").map_err(read())?;
                let seen = row.try_get::<i64, _>("seen").map_err(read())? != 0;
                let event = seen.then(|| event(row, id)).transpose()?;
                Ok(EventRow { id, event })
            })
            .collect()
    }
}

fn event(row: &SqliteRow, id: i64) -> Result<Event, LedgerError> {
    let read = || LedgerError::storage("read events");
    Ok(Event {
        id,
        time: Time::from_millis(row.try_get("at").map_err(read())?),
        kind: row.try_get("kind").map_err(read())?,
        data: data(row)?,
    })
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
