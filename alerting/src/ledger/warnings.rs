//! Warnings as the ledger lists them.

use citywatch_model::Time;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::LedgerError;
use crate::warning::{Warning, WarningKind};

/// What became of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningState {
    /// It holds.
    InForce,
    /// A newer message says what holds.
    Superseded,
    /// The danger is over.
    Lifted,
    /// It was a false alarm.
    Withdrawn,
    /// It is itself the message that lifted or withdrew the ones before.
    Final,
    /// It has lapsed by itself.
    Expired,
}

impl WarningState {
    /// What a message is when it is issued.
    pub(super) fn of_new(kind: WarningKind) -> WarningState {
        if kind.ends() {
            WarningState::Final
        } else {
            WarningState::InForce
        }
    }

    pub(super) const fn rank(self) -> i16 {
        match self {
            // lapsing is not written: it follows from the time
            WarningState::InForce | WarningState::Expired => 0,
            WarningState::Superseded => 1,
            WarningState::Lifted => 2,
            WarningState::Withdrawn => 3,
            WarningState::Final => 4,
        }
    }

    pub(super) const fn from_rank(rank: i64) -> WarningState {
        match rank {
            1 => WarningState::Superseded,
            2 => WarningState::Lifted,
            3 => WarningState::Withdrawn,
            4 => WarningState::Final,
            _ => WarningState::InForce,
        }
    }

    /// Whether no newer message has followed.
    pub(super) const fn is_newest(self) -> bool {
        matches!(
            self,
            WarningState::InForce | WarningState::Final | WarningState::Expired
        )
    }
}

/// A warning with what the ledger knows of it beyond the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WarningEntry {
    /// Number.
    pub id: i64,
    /// Number of the first message of its chain.
    pub chain: i64,
    /// The alert.
    pub alert: i64,
    /// What became of it.
    pub state: WarningState,
    /// Whether a plan issued it.
    pub automatic: bool,
    /// Who issued it.
    pub issued_by: String,
    /// The message.
    pub warning: Warning,
}

impl WarningEntry {
    pub(super) fn from_row(row: &SqliteRow, now: Time) -> Result<WarningEntry, LedgerError> {
        let read = || LedgerError::storage("read a warning");
        let body: String = row.try_get("body").map_err(read())?;
        let warning: Warning =
            serde_json::from_str(&body).map_err(LedgerError::corrupt("warning"))?;
        let stored = WarningState::from_rank(row.try_get("state").map_err(read())?);
        let lapsed = stored == WarningState::InForce && warning.expires <= now;
        Ok(WarningEntry {
            id: row.try_get("id").map_err(read())?,
            chain: row.try_get("chain").map_err(read())?,
            alert: row.try_get("alert").map_err(read())?,
            state: if lapsed {
                WarningState::Expired
            } else {
                stored
            },
            automatic: row.try_get::<i64, _>("automatic").map_err(read())? != 0,
            issued_by: row.try_get("issued_by").map_err(read())?,
            warning,
        })
    }

    /// As it was when it was issued.
    pub(super) fn issued(row: &SqliteRow) -> Result<WarningEntry, LedgerError> {
        let mut entry = WarningEntry::from_row(row, Time::from_millis(i64::MIN))?;
        entry.state = WarningState::of_new(entry.warning.kind);
        Ok(entry)
    }

    pub(super) async fn load(
        connection: &mut SqliteConnection,
        id: i64,
        now: Time,
    ) -> Result<WarningEntry, LedgerError> {
        let row = sqlx::query("SELECT * FROM warnings WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await
            .map_err(LedgerError::storage("read a warning"))?
            .ok_or_else(|| LedgerError::missing("warning", id))?;
        WarningEntry::from_row(&row, now)
    }
}
