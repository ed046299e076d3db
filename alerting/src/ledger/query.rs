//! Reading the ledger: lists, details and the audit. Never waits for the writer and never writes.

use citywatch_model::name;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::alert::Alert;
use super::delivery::{Attempt, Delivery, DeliveryState};
use super::filter::{AlertFilter, DeliveryFilter, Page, WarningFilter, limit};
use super::receipt::Receipt;
use super::rows::{Act, History, act, attempt, by, history};
use super::warnings::WarningEntry;
use super::{Ledger, Seen};
use crate::LedgerError;
use crate::accounts::View;

/// An alert with all that belongs to it, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AlertDetail {
    /// The alert.
    pub alert: Alert,
    /// History of its condition.
    pub transitions: Vec<History>,
    /// What was done.
    pub acts: Vec<Act>,
    /// Its warnings.
    pub warnings: Vec<WarningEntry>,
    /// Their deliveries.
    pub deliveries: Vec<Delivery>,
}

/// A warning with its message and deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WarningDetail {
    /// The warning.
    #[serde(flatten)]
    pub entry: WarningEntry,
    /// The CAP message as it was issued.
    pub cap: String,
    /// Oldest first.
    pub deliveries: Vec<Delivery>,
}

/// A delivery with its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Oldest first.
    pub log: Vec<Attempt>,
    /// What gateways reported after an attempt was accepted, as it came.
    pub receipts: Vec<Receipt>,
}

impl Seen<'_> {
    /// Alerts, those that became active last first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Page<Alert>, LedgerError> {
        let zones = filter
            .zone
            .as_deref()
            .map(|zone| self.ledger.zones_within(zone))
            .unwrap_or_default();
        let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
        let now = self.ledger.now();
        let rows = self.ledger.rows(filter.query(&zones, self.view)?).await?;
        let alerts = rows
            .iter()
            .map(|row| Alert::from_row(row).map(|alert| alert.shown(now)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(alerts, limit(filter.limit), |last| {
            format!("{}.{}", last.active_since.millis(), last.id)
        }))
    }

    /// An alert with its history, acts, warnings and deliveries.
    ///
    /// # Errors
    /// If there is no such alert, or the database fails.
    pub async fn alert(&self, id: i64) -> Result<AlertDetail, LedgerError> {
        let now = self.ledger.now();
        let mut connection = self.ledger.reader().await?;
        let alert = Alert::load(&mut connection, id).await?;
        if !self.sees(&alert) {
            return Err(LedgerError::missing("alert", id));
        }
        let transitions = by(
            &mut connection,
            "SELECT * FROM transitions WHERE alert = $1 ORDER BY version",
            id,
        )
        .await?;
        let acts = by(
            &mut connection,
            "SELECT * FROM acts WHERE alert = $1 ORDER BY id",
            id,
        )
        .await?;
        let warnings = by(
            &mut connection,
            "SELECT * FROM warnings WHERE alert = $1 ORDER BY id",
            id,
        )
        .await?;
        let deliveries = by(
            &mut connection,
            "SELECT * FROM deliveries WHERE alert = $1 ORDER BY id",
            id,
        )
        .await?;
        Ok(AlertDetail {
            alert: alert.shown(now),
            transitions: transitions.iter().map(history).collect::<Result<_, _>>()?,
            acts: acts.iter().map(act).collect::<Result<_, _>>()?,
            warnings: warnings
                .iter()
                .map(|row| WarningEntry::from_row(row, now))
                .collect::<Result<_, _>>()?,
            deliveries: self.ledger.present(&deliveries)?,
        })
    }

    /// Warnings, newest first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn warnings(
        &self,
        filter: &WarningFilter,
    ) -> Result<Page<WarningEntry>, LedgerError> {
        let now = self.ledger.now();
        let rows = self.ledger.rows(filter.query(now, self.view)?).await?;
        let entries = rows
            .iter()
            .map(|row| WarningEntry::from_row(row, now))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(entries, limit(filter.limit), |last| {
            last.id.to_string()
        }))
    }

    /// The warning with this number or CAP identifier.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn warning(&self, id_or_identifier: &str) -> Result<WarningDetail, LedgerError> {
        let read = || LedgerError::storage("read a warning");
        let mut connection = self.ledger.reader().await?;
        let row = sqlx::query("SELECT * FROM warnings WHERE id = $1 OR identifier = $2")
            .bind(id_or_identifier.parse::<i64>().ok())
            .bind(id_or_identifier)
            .fetch_optional(&mut *connection)
            .await
            .map_err(read())?
            .ok_or_else(|| LedgerError::missing("warning", id_or_identifier))?;
        let entry = WarningEntry::from_row(&row, self.ledger.now())?;
        if !self.sees_alert(&mut connection, entry.alert).await? {
            return Err(LedgerError::missing("warning", id_or_identifier));
        }
        let deliveries = by(
            &mut connection,
            "SELECT * FROM deliveries WHERE warning = $1 \
             AND alert = (SELECT alert FROM warnings WHERE id = $1) ORDER BY id",
            entry.id,
        )
        .await?;
        Ok(WarningDetail {
            entry,
            cap: row.try_get("cap").map_err(read())?,
            deliveries: self.ledger.present(&deliveries)?,
        })
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, LedgerError> {
        let rows = self.ledger.rows(filter.query(self.view)?).await?;
        Ok(Page::cut(
            self.ledger.present(&rows)?,
            limit(filter.limit),
            |last| last.id.to_string(),
        ))
    }

    /// A delivery with its attempts and receipts.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn delivery(&self, id: i64) -> Result<DeliveryDetail, LedgerError> {
        let mut connection = self.ledger.reader().await?;
        let mut delivery = Delivery::load(&mut connection, id).await?;
        if !self.sees_alert(&mut connection, delivery.alert).await? {
            return Err(LedgerError::missing("delivery", id));
        }
        self.ledger.overlay(&mut delivery);
        let rows = by(
            &mut connection,
            "SELECT * FROM attempts WHERE delivery = $1 ORDER BY number",
            id,
        )
        .await?;
        let log = rows.iter().map(attempt).collect::<Result<_, _>>()?;
        let rows = by(
            &mut connection,
            "SELECT * FROM receipts WHERE delivery = $1 ORDER BY number",
            id,
        )
        .await?;
        let receipts = rows
            .iter()
            .map(Receipt::from_row)
            .collect::<Result<_, _>>()?;
        Ok(DeliveryDetail {
            delivery,
            log,
            receipts,
        })
    }
}

impl Ledger {
    /// Alerts, those that became active last first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Page<Alert>, LedgerError> {
        self.seen(&View::whole()).alerts(filter).await
    }

    /// An alert with its history, acts, warnings and deliveries.
    ///
    /// # Errors
    /// If there is no such alert, or the database fails.
    pub async fn alert(&self, id: i64) -> Result<AlertDetail, LedgerError> {
        self.seen(&View::whole()).alert(id).await
    }

    /// Warnings, newest first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn warnings(
        &self,
        filter: &WarningFilter,
    ) -> Result<Page<WarningEntry>, LedgerError> {
        self.seen(&View::whole()).warnings(filter).await
    }

    /// The warning with this number or CAP identifier.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn warning(&self, id_or_identifier: &str) -> Result<WarningDetail, LedgerError> {
        self.seen(&View::whole()).warning(id_or_identifier).await
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// If the cursor is not one, or the database fails.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, LedgerError> {
        self.seen(&View::whole()).deliveries(filter).await
    }

    /// A delivery with its attempts.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn delivery(&self, id: i64) -> Result<DeliveryDetail, LedgerError> {
        self.seen(&View::whole()).delivery(id).await
    }

    fn zones_within(&self, zone: &str) -> Vec<String> {
        let zones = self.zones();
        // only known zones are interned: the text comes from outside
        if zones.0.keys().any(|known| known == zone) {
            zones
                .within(name(zone))
                .into_iter()
                .map(|zone| zone.to_string())
                .collect()
        } else {
            vec![zone.to_owned()]
        }
    }

    /// Who did what, newest first, before the act with number `before`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit(&self, asked: u32, before: Option<i64>) -> Result<Vec<Act>, LedgerError> {
        let mut query = QueryBuilder::new("SELECT * FROM acts WHERE id < ");
        query.push_bind(before.unwrap_or(i64::MAX));
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(limit(Some(asked)) as i64);
        self.rows(query).await?.iter().map(act).collect()
    }

    async fn rows(&self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<SqliteRow>, LedgerError> {
        let mut connection = self.reader().await?;
        query
            .build()
            .fetch_all(&mut *connection)
            .await
            .map_err(LedgerError::storage("read a list"))
    }

    fn present(&self, rows: &[SqliteRow]) -> Result<Vec<Delivery>, LedgerError> {
        let mut deliveries = rows
            .iter()
            .map(Delivery::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        for delivery in &mut deliveries {
            self.overlay(delivery);
        }
        Ok(deliveries)
    }

    /// That a first attempt is under way is known before it is written.
    fn overlay(&self, delivery: &mut Delivery) {
        if delivery.state == DeliveryState::Queued && self.shared.flight.was_attempted(delivery.id)
        {
            delivery.state = DeliveryState::Sending;
        }
    }
}
