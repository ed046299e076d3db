//! The ledger in a few numbers.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use citywatch_model::Level;

use super::delivery::DeliveryState;
use super::{Ledger, Seen};
use crate::LedgerError;
use crate::accounts::View;

/// Alerts of one hazard at one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AlertCount {
    /// May be empty.
    pub hazard: String,
    /// Present or last level.
    pub level: Level,
    /// All of them.
    pub total: u64,
    /// Those that are not closed.
    pub open: u64,
}

/// Deliveries of one channel in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DeliveryCount {
    /// Kind.
    pub channel: String,
    /// State.
    pub state: DeliveryState,
    /// How many.
    pub total: u64,
    /// Of these, answered by a person.
    pub answered: u64,
}

/// The ledger in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// By hazard and level, in this order; those of rules in shadow are not counted.
    pub alerts: Vec<AlertCount>,
    /// Messages issued.
    pub warnings: u64,
    /// By channel and state, in this order.
    pub deliveries: Vec<DeliveryCount>,
}

impl Ledger {
    /// Counts everything.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn summary(&self) -> Result<Summary, LedgerError> {
        self.seen(&View::whole()).summary().await
    }
}

impl Seen<'_> {
    /// Counts everything inside.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn summary(&self) -> Result<Summary, LedgerError> {
        let failed = || LedgerError::storage("count");
        let mut connection = self.ledger.reader().await?;
        let mut query = QueryBuilder::new(
            "SELECT hazard, level, COUNT(*) AS total, SUM(CASE WHEN handling < 4 THEN 1 ELSE 0 END) AS open \
             FROM alerts WHERE shadow = 0",
        );
        self.view.narrow(&mut query, "alerts");
        query.push(" GROUP BY hazard, level ORDER BY hazard, level");
        let alerts = query.build().fetch_all(&mut *connection).await;
        let alerts = alerts.map_err(failed())?;
        let mut query = QueryBuilder::new(
            "SELECT channel, state, COUNT(*) AS total, COUNT(answer) AS answered FROM deliveries WHERE 1 = 1",
        );
        self.view.narrow_by_alert(&mut query, "deliveries");
        query.push(" GROUP BY channel, state ORDER BY channel, state");
        let deliveries = query.build().fetch_all(&mut *connection).await;
        let deliveries = deliveries.map_err(failed())?;
        let mut query = QueryBuilder::new("SELECT COUNT(*) FROM warnings WHERE 1 = 1");
        self.view.narrow_by_alert(&mut query, "warnings");
        let warnings = query.build_query_scalar().fetch_one(&mut *connection).await;
        let warnings: i64 = warnings.map_err(failed())?;
        Ok(Summary {
            alerts: alerts
                .iter()
                .map(alert_count)
                .collect::<Result<_, _>>()
                .map_err(failed())?,
            warnings: warnings.unsigned_abs(),
            deliveries: deliveries
                .iter()
                .map(delivery_count)
                .collect::<Result<_, _>>()
                .map_err(failed())?,
        })
    }
}

fn count(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

fn alert_count(row: &SqliteRow) -> Result<AlertCount, sqlx::Error> {
    let rank = row.try_get::<i64, _>("level")?;
    Ok(AlertCount {
        hazard: row.try_get("hazard")?,
        level: u8::try_from(rank)
            .ok()
            .and_then(Level::from_rank)
            .unwrap_or(Level::Blue),
        total: count(row, "total")?,
        open: count(row, "open")?,
    })
}

fn delivery_count(row: &SqliteRow) -> Result<DeliveryCount, sqlx::Error> {
    Ok(DeliveryCount {
        channel: row.try_get("channel")?,
        state: DeliveryState::from_rank(row.try_get("state")?),
        total: count(row, "total")?,
        answered: count(row, "answered")?,
    })
}
