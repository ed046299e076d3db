//! What happens when a warning lapses by itself: the alert no longer counts as warned, followers hear of it, and while
//! the condition holds an automatic plan warns anew; without one, or if the rule is on trial meanwhile, somebody must look.

use citywatch_model::{Mode, Name};

use super::Ledger;
use super::alert::{Alert, Condition};
use super::session::Session;
use super::version::Version;
use super::warnings::{WarningEntry, WarningState};
use crate::LedgerError;

impl Ledger {
    /// Follows up the Actual warnings that have lapsed; answers how many. For the program's timer; once a second is
    /// enough.
    ///
    /// # Errors
    /// If the database fails; nothing of it is kept, and the next call finds them again.
    pub async fn lapse(&self) -> Result<usize, LedgerError> {
        let now = self.now();
        if self
            .shared
            .writer
            .lock()
            .await
            .book
            .lapsed(now)
            .next()
            .is_none()
        {
            return Ok(0);
        }
        let mut session = self.begin().await?;
        let mut lapsed = 0;
        for alert in session.lapsed_alerts() {
            lapsed += usize::from(session.lapse(alert).await?);
        }
        session.commit().await?;
        Ok(lapsed)
    }
}

impl Session {
    /// Whether the rule is on trial by what is in force now; the alert may stand since before that.
    async fn is_in_shadow(&mut self, rule: Name) -> Result<bool, LedgerError> {
        let row = sqlx::query("SELECT * FROM versions ORDER BY id DESC LIMIT 1")
            .fetch_optional(self.connection().await?)
            .await
            .map_err(LedgerError::storage("read the newest version"))?;
        let newest = row.as_ref().map(Version::from_row).transpose()?;
        let rule = newest
            .as_ref()
            .and_then(|version| version.contents.rules.get(&rule));
        Ok(rule.is_some_and(|rule| rule.mode == Mode::Shadow))
    }

    /// `true` if the warning has lapsed indeed.
    async fn lapse(&mut self, mut alert: Alert) -> Result<bool, LedgerError> {
        let Some(id) = alert.warning else {
            return Ok(false);
        };
        let (now, connection) = (self.now, self.connection().await?);
        let entry = WarningEntry::load(connection, id, now).await?;
        if entry.state == WarningState::InForce {
            // written before alerts knew when their warning lapses
            alert.warned_until = Some(entry.warning.expires);
            self.save_alert(&alert);
            return Ok(false);
        }
        alert.forget_warning();
        alert.version += 1;
        self.lapse_event(&entry);
        let over = alert.condition == Condition::Recovered;
        let concerns_people = alert.is_open() && !alert.shadow && !over;
        let renewed = concerns_people
            && alert.condition == Condition::Active
            && !self.is_in_shadow(alert.rule).await?
            && self.warn_by_plan(&mut alert).await?;
        if !renewed {
            alert.needs_attention |= concerns_people;
            self.save_alert(&alert);
        }
        if concerns_people {
            tracing::warn!(
                alert = alert.id,
                warning = id,
                renewed,
                "a warning has lapsed while the danger is not known to be over"
            );
        }
        Ok(true)
    }
}
