//! The ledger as somebody sees it who may be bound to hazards and zones. What lies outside is never read out of the
//! database, and a thing outside is answered exactly as one that does not exist. Writing calls are held to the same
//! before anything else is looked at, so that neither a version nor an idempotency key tells more.

use sqlx::{QueryBuilder, SqliteConnection};

use super::alert::Alert;
use super::delivery::Delivery;
use super::session::Session;
use super::warnings::WarningEntry;
use super::{Call, Ledger};
use crate::LedgerError;
use crate::accounts::{Bounds, View};

/// What somebody sees of the ledger.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) view: &'a View,
}

impl Ledger {
    /// The ledger as `view` shows it.
    #[must_use]
    pub fn seen<'a>(&'a self, view: &'a View) -> Seen<'a> {
        Seen { ledger: self, view }
    }

    /// What these bounds show with the zones that are in force now.
    #[must_use]
    pub fn view(&self, bounds: &Bounds) -> View {
        bounds.view(&self.zones())
    }
}

impl Seen<'_> {
    pub(super) fn sees(&self, alert: &Alert) -> bool {
        let zone = alert.zone.map_or("", |zone| zone.as_str());
        self.view.sees(alert.hazard.as_str(), zone)
    }

    pub(super) async fn sees_alert(
        &self,
        connection: &mut SqliteConnection,
        alert: i64,
    ) -> Result<bool, LedgerError> {
        if self.view.is_whole() {
            return Ok(true);
        }
        let mut query = QueryBuilder::new("SELECT COUNT(*) FROM alerts WHERE id = ");
        query.push_bind(alert);
        self.view.narrow(&mut query, "alerts");
        let found: i64 = query
            .build_query_scalar()
            .fetch_one(connection)
            .await
            .map_err(LedgerError::storage("look whether an alert may be seen"))?;
        Ok(found > 0)
    }
}

impl Session {
    /// Goes on only if the caller may see that alert.
    pub(super) async fn admit_alert(&mut self, call: &Call, id: i64) -> Result<(), LedgerError> {
        if call.view.is_whole() {
            return Ok(());
        }
        self.admit(call, id, || LedgerError::missing("alert", id))
            .await
    }

    /// Goes on only if the caller may see that warning.
    pub(super) async fn admit_warning(&mut self, call: &Call, id: i64) -> Result<(), LedgerError> {
        if call.view.is_whole() {
            return Ok(());
        }
        let now = self.now;
        let entry = WarningEntry::load(self.connection().await?, id, now).await?;
        self.admit(call, entry.alert, || LedgerError::missing("warning", id))
            .await
    }

    /// Goes on only if the caller may see that delivery.
    pub(super) async fn admit_delivery(&mut self, call: &Call, id: i64) -> Result<(), LedgerError> {
        if call.view.is_whole() {
            return Ok(());
        }
        let delivery = Delivery::load(self.connection().await?, id).await?;
        self.admit(call, delivery.alert, || {
            LedgerError::missing("delivery", id)
        })
        .await
    }

    async fn admit(
        &mut self,
        call: &Call,
        alert: i64,
        missing: impl FnOnce() -> LedgerError,
    ) -> Result<(), LedgerError> {
        let mut query = QueryBuilder::new("SELECT COUNT(*) FROM alerts WHERE id = ");
        query.push_bind(alert);
        call.view.narrow(&mut query, "alerts");
        let found: i64 = query
            .build_query_scalar()
            .fetch_one(self.connection().await?)
            .await
            .map_err(LedgerError::storage("look whether an alert may be seen"))?;
        if found > 0 { Ok(()) } else { Err(missing()) }
    }
}
