//! A start at which ledger and journal do not belong together, because one of them was lost: what was lost stands in
//! the audit, and the ledger goes on from a place where no alert is dropped and nothing old is warned of again.

use std::sync::atomic::Ordering;

use citywatch_model::Position;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use super::session::{Concerns, Session};
use super::{Actor, Ledger};
use crate::LedgerError;

/// The act of [`Ledger::journal_was_lost`].
const JOURNAL_LOST: &str = "journal lost";
/// The act of [`Ledger::itself_was_lost`].
const LEDGER_LOST: &str = "ledger lost";
/// A ledger that has never met its journal has fewer acts than this.
const FIRST_ACTS: i64 = 100;

/// Where both stood, for the audit.
#[derive(Serialize, Deserialize)]
struct Found {
    ledger: Position,
    journal: Position,
}

impl Ledger {
    /// The journal ends at `end`, before the ledger's position, and what lay behind it is lost. From now on the ledger
    /// takes what comes behind `end`; its alerts, accounts and audit stay. To be called before the first epoch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn journal_was_lost(&self, end: Position) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        session.act_of_loss(JOURNAL_LOST, end);
        session.save_position(end);
        session.commit().await?;
        self.shared.writer.lock().await.position.seen = end;
        Ok(())
    }

    /// This ledger is new, and the one that knew the journal up to `end` is lost. What the journal holds becomes
    /// alerts again, but nobody is warned of it, also if the process dies on the way. To be called before the first epoch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn itself_was_lost(&self, end: Position) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        session.act_of_loss(LEDGER_LOST, end);
        session.commit().await?;
        self.shared.quiet_until.store(end, Ordering::Release);
        Ok(())
    }
}

impl Session {
    /// Whether people are warned of what a record at `position` says.
    pub(super) fn is_heard(&self, position: Position) -> bool {
        position > self.shared.quiet_until.load(Ordering::Acquire)
    }

    fn act_of_loss(&mut self, act: &str, journal: Position) {
        let found = Found {
            ledger: self.settled().stored,
            journal,
        };
        self.act(&Actor::service(), act, Concerns::default(), &found);
    }
}

/// Up to which position nobody is warned.
pub(super) async fn quiet_until(
    connection: &mut SqliteConnection,
) -> Result<Position, LedgerError> {
    let body: Option<String> = sqlx::query_scalar(
        "SELECT body FROM acts WHERE id < $1 AND act = $2 ORDER BY id DESC LIMIT 1",
    )
    .bind(FIRST_ACTS)
    .bind(LEDGER_LOST)
    .fetch_optional(connection)
    .await
    .map_err(LedgerError::storage("read the audit"))?;
    let Some(body) = body else { return Ok(0) };
    let found: Found =
        serde_json::from_str(&body).map_err(LedgerError::corrupt("act of the audit"))?;
    Ok(found.journal)
}
