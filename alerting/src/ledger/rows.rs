//! History, acts and attempts as the ledger reads them back.

use citywatch_model::{Level, Time};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::delivery::Attempt;
use crate::LedgerError;

/// One step of an alert's condition.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct History {
    /// On the service's clock.
    pub at: Time,
    /// `raise`, `change`, `clear`, or `unwatched`: the rule or the sensor was changed or removed.
    pub kind: String,
    /// The level then.
    pub level: Level,
    /// The value then.
    pub value: Option<f64>,
    /// The version of the rule that said so; 0 if that is not known.
    pub rule_version: i64,
    /// When it was written, on the wall clock.
    pub recorded_at: Time,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Act {
    /// Ascending.
    pub id: i64,
    /// On the service's clock.
    pub at: Time,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// From where.
    pub from: String,
    /// What.
    pub act: String,
    /// The alert, if it concerns one.
    pub alert: Option<i64>,
    /// The warning, if it concerns one.
    pub warning: Option<i64>,
    /// The delivery, if it concerns one.
    pub delivery: Option<i64>,
    /// With which arguments.
    pub detail: serde_json::Value,
}

pub(super) async fn by(
    connection: &mut SqliteConnection,
    sql: &'static str,
    id: i64,
) -> Result<Vec<SqliteRow>, LedgerError> {
    sqlx::query(sql)
        .bind(id)
        .fetch_all(connection)
        .await
        .map_err(LedgerError::storage("read what belongs together"))
}

pub(super) fn history(row: &SqliteRow) -> Result<History, LedgerError> {
    let read = || -> Result<History, sqlx::Error> {
        let rank = row.try_get::<i64, _>("level")?;
        Ok(History {
            at: Time::from_millis(row.try_get("at")?),
            kind: row.try_get("kind")?,
            level: u8::try_from(rank)
                .ok()
                .and_then(Level::from_rank)
                .unwrap_or(Level::Blue),
            value: row.try_get("value")?,
            rule_version: row.try_get("rule_version")?,
            recorded_at: Time::from_millis(row.try_get("recorded_at")?),
        })
    };
    read().map_err(LedgerError::storage("read a transition"))
}

pub(super) fn act(row: &SqliteRow) -> Result<Act, LedgerError> {
    let body = |row: &SqliteRow| row.try_get::<String, _>("body");
    let detail = body(row).map_err(LedgerError::storage("read an act"))?;
    let detail = serde_json::from_str(&detail).map_err(LedgerError::corrupt("act"))?;
    let read = || -> Result<Act, sqlx::Error> {
        Ok(Act {
            id: row.try_get("id")?,
            at: Time::from_millis(row.try_get("at")?),
            actor: row.try_get("actor")?,
            role: row.try_get("role")?,
            from: row.try_get("origin")?,
            act: row.try_get("act")?,
            alert: row.try_get("alert")?,
            warning: row.try_get("warning")?,
            delivery: row.try_get("delivery")?,
            detail,
        })
    };
    read().map_err(LedgerError::storage("read an act"))
}

pub(super) fn attempt(row: &SqliteRow) -> Result<Attempt, LedgerError> {
    let read = || -> Result<Attempt, sqlx::Error> {
        Ok(Attempt {
            number: row.try_get("number")?,
            at: Time::from_millis(row.try_get("at")?),
            outcome: row.try_get("outcome")?,
            status: row.try_get("status")?,
            detail: row.try_get("detail")?,
            latency_us: row.try_get("latency_us")?,
        })
    };
    read().map_err(LedgerError::storage("read an attempt"))
}
