//! An engine that was built anew from the journal may see levels that the alert book does not have, and the other way
//! round: a newer program judges otherwise, and a journal that was lost says nothing of what is open. Where they
//! differ, what the engine sees becomes an alert, and what it does not see is unwatched: never is an alert dropped.

use std::collections::BTreeSet;

use citywatch_model::{Name, TransitionKind};

use super::alert::{Alert, Condition};
use super::book::{self, Change};
use super::session::Concerns;
use super::{Actor, Ledger};
use crate::LedgerError;

/// The act by which an alert is no longer watched.
const LOST_SIGHT: &str = "lost sight";

impl Ledger {
    /// Makes the alert book agree with an engine that holds the levels of `standing`, and no others, at the ledger's
    /// position; answers the alerts that were changed. To be called before an epoch behind that position.
    ///
    /// # Errors
    /// If the database fails; nothing of it is kept.
    pub async fn agree(&self, standing: &[Change]) -> Result<Vec<Alert>, LedgerError> {
        let mut session = self.begin().await?;
        let mut changed = Vec::new();
        for change in standing {
            let transition = &change.transition;
            let seen = |alert: &Alert| {
                alert.condition == Condition::Active && alert.level == transition.level
            };
            let current = session.live_alert(transition.rule, transition.subject);
            if current.is_some_and(seen) {
                continue;
            }
            // no new breach: what people have closed stays closed unless it has worsened
            let mut change = change.clone();
            change.transition.kind = TransitionKind::Change;
            changed.extend(session.turn(&change).await?);
        }
        let standing: BTreeSet<(Name, Name)> = standing
            .iter()
            .map(|change| (change.transition.rule, change.transition.subject))
            .collect();
        for alert in session.active_alerts() {
            if standing.contains(&(alert.rule, alert.subject)) {
                continue;
            }
            let step = book::unwatch(alert, self.now());
            let concerns = Concerns {
                alert: Some(step.alert.id),
                ..Concerns::default()
            };
            session.act(&Actor::service(), LOST_SIGHT, concerns, &());
            session.alert_event(step.event, &step.alert);
            session.save_alert(&step.alert);
            changed.push(step.alert);
        }
        if !changed.is_empty() {
            session.commit().await?;
        }
        Ok(changed)
    }
}
