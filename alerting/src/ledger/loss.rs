//! A start at which ledger and journal do not belong together, because one of them was lost: what was lost stands in
//! the audit, and the ledger goes on from a place where no alert is dropped and nothing old is warned of again.

use std::sync::atomic::Ordering;

use citywatch_model::Position;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::session::{Concerns, Session};
use super::statement::statement;
use super::{Actor, Ledger};
use crate::LedgerError;

/// The act of [`Ledger::journal_was_lost`].
const JOURNAL_LOST: &str = "journal lost";
/// The act of [`Ledger::itself_was_lost`].
const LEDGER_LOST: &str = "ledger lost";
/// Where both stood, for the audit.
#[derive(Serialize)]
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
        // positions are given anew, and those behind `end` are heard
        session.be_quiet_until(0);
        session.commit().await?;
        self.shared.writer.lock().await.position.seen = end;
        self.shared.quiet_until.store(0, Ordering::Release);
        Ok(())
    }

    /// The ledger that knew the journal up to `end` is lost; this one is new, or an older one. What the journal holds
    /// becomes alerts again, but nobody is warned of it, also if the process dies on the way. To be called before the
    /// first epoch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn itself_was_lost(&self, end: Position) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        session.act_of_loss(LEDGER_LOST, end);
        session.be_quiet_until(end);
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

    fn be_quiet_until(&mut self, position: Position) {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        self.write(statement("UPDATE ledger SET quiet_until = $1").bind(position));
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
    let position: i64 = sqlx::query_scalar("SELECT quiet_until FROM ledger")
        .fetch_one(connection)
        .await
        .map_err(LedgerError::storage("read the position"))?;
    Ok(Position::try_from(position).unwrap_or(0))
}
