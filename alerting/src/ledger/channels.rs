//! How each channel fares, in the numbers that an operator asks for first. Reads only.

use serde::Serialize;
use sqlx::Row;

use super::Ledger;
use super::delivery::DeliveryState;
use crate::LedgerError;
use crate::channel::KINDS;
use crate::channel_notes::Noted;

/// Each part names the partial index that serves it.
pub(super) const COUNTS: &str = "SELECT channel, state, COUNT(*) AS total FROM deliveries WHERE state < 3 GROUP BY channel, state \
     UNION ALL SELECT channel, state, COUNT(*) AS total FROM deliveries WHERE state = 5 GROUP BY channel, state";

/// One kind of channel
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ChannelState {
    /// The word that plans use for it
    pub kind: &'static str,
    /// Whether the service can send by it
    pub configured: bool,
    /// The newest attempt that worked, since the service started
    pub last_success: Option<Noted>,
    /// The newest attempt that did not, since the service started
    pub last_failure: Option<Noted>,
    /// Deliveries that are not out yet
    pub waiting: u64,
    /// Deliveries that were given up
    pub dead: u64,
    /// Deliveries that were accepted and, as the gateway reports, did not arrive
    pub failed: u64,
}

impl Ledger {
    /// All channels that there can be, in a fixed order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn channel_states(&self) -> Result<Vec<ChannelState>, LedgerError> {
        let failed = || LedgerError::storage("count deliveries");
        let mut connection = self.reader().await?;
        let rows = sqlx::query(COUNTS)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed())?;
        let mut states: Vec<ChannelState> = KINDS.iter().map(|kind| self.noted(kind)).collect();
        for row in &rows {
            let channel: String = row.try_get("channel").map_err(failed())?;
            let total = row.try_get::<i64, _>("total").map_err(failed())?;
            let state = DeliveryState::from_rank(row.try_get("state").map_err(failed())?);
            let Some(entry) = states.iter_mut().find(|entry| entry.kind == channel) else {
                continue;
            };
            let count = match state {
                DeliveryState::Dead => &mut entry.dead,
                DeliveryState::Failed => &mut entry.failed,
                DeliveryState::Queued
                | DeliveryState::Sending
                | DeliveryState::Cancelled
                | DeliveryState::Accepted
                | DeliveryState::Delivered => &mut entry.waiting,
            };
            *count += total.unsigned_abs();
        }
        Ok(states)
    }

    fn noted(&self, kind: &'static str) -> ChannelState {
        let note = self.shared.channel_notes.of(kind);
        ChannelState {
            kind,
            configured: note.switched_on,
            last_success: note.success,
            last_failure: note.failure,
            waiting: 0,
            dead: 0,
            failed: 0,
        }
    }
}
