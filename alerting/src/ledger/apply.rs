//! An epoch of the engine becomes one transaction: alerts, their history, the warnings of automatic plans, events
//! and the journal position. Transitions at or below the position are skipped, so an epoch may come again.

use std::time::Instant;

use std::sync::Arc;

use citywatch_model::{Mode, Position, RuleInfo, Time, TransitionKind};

use super::alert::{Alert, Condition};
use super::book::{self, Change, Step};
use super::session::Session;
use super::statement::statement;
use super::{Actor, Ledger};
use crate::LedgerError;

/// Empty epochs move the stored position at most this often.
const POSITION_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What the engine found up to a position.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// All records up to here have been evaluated.
    pub position: Position,
    /// Clock of the newest of them.
    pub clock: Time,
    /// In the engine's order.
    pub changes: Vec<Change>,
    /// Rules that leave their shadow with the last record of this epoch.
    pub lit: Vec<Arc<RuleInfo>>,
}

/// What became of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Each alert that changed, as it is now, in the order of the changes; an alert may stand here twice.
    pub alerts: Vec<Alert>,
}

impl Ledger {
    /// Writes an epoch. After an error nothing of it is kept, and the caller applies it again. Do not drop the
    /// future before it is done: the outbox would not hear of the deliveries until the next start.
    ///
    /// # Errors
    /// If the database fails, above all when the disk is full.
    pub async fn apply(&self, epoch: Epoch) -> Result<Applied, LedgerError> {
        let started = Instant::now();
        if epoch.changes.is_empty() && epoch.lit.is_empty() {
            let settled = self.note_position(epoch.position).await;
            if settled.seen > settled.stored && settled.written.elapsed() >= POSITION_EVERY {
                self.flush_position().await?;
            }
            return Ok(Applied { alerts: Vec::new() });
        }
        let mut session = self.begin().await?;
        let settled = session.settled();
        let mut alerts = Vec::with_capacity(epoch.changes.len());
        for change in epoch
            .changes
            .iter()
            .filter(|change| change.transition.position > settled.seen)
        {
            alerts.extend(session.turn(change).await?);
        }
        if epoch.position > settled.seen {
            for rule in &epoch.lit {
                alerts.extend(session.light(rule, epoch.position).await?);
            }
        }
        session.save_position(epoch.position.max(settled.seen));
        session.carry_out().await?;
        let metrics = &self.shared.metrics;
        metrics.applied(started.elapsed(), alerts.len());
        tracing::debug!(position = epoch.position, clock = %epoch.clock, alerts = alerts.len(), "epoch applied");
        Ok(Applied { alerts })
    }

    /// Writes the newest position that memory knows of.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn flush_position(&self) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        let settled = session.settled();
        if settled.seen > settled.stored {
            session.save_position(settled.seen);
        }
        session.commit().await
    }
}

impl Session {
    /// One transition: the alert, its history, its event, and what its plan does by itself.
    pub(super) async fn turn(&mut self, change: &Change) -> Result<Option<Alert>, LedgerError> {
        let transition = &change.transition;
        if transition.kind == TransitionKind::Clear {
            for older in self.displaced(transition.rule, transition.subject) {
                let step = book::step(Some(&older), change, self.ids.alert, self.wall);
                if let Some(step) = step {
                    self.carry(step, change).await?;
                }
            }
        }
        let current = self.live_alert(transition.rule, transition.subject);
        let step = book::step(current, change, self.ids.alert, self.wall);
        let Some(step) = step else {
            tracing::debug!(rule = %transition.rule, subject = %transition.subject, "a clear without an active alert");
            return Ok(None);
        };
        if step.alert.id == self.ids.alert {
            self.ids.alert += 1;
        }
        self.carry(step, change).await.map(Some)
    }

    /// Writes what a transition did to an alert, and does what its plan says.
    async fn carry(&mut self, mut step: Step, change: &Change) -> Result<Alert, LedgerError> {
        let version = step.alert.version;
        self.alert_event(step.event, &step.alert);
        let warns = change.rule.mode == Mode::Live
            && !step.alert.shadow
            && self.is_heard(change.transition.position);
        let warned = if step.rose && warns && step.alert.is_open() {
            self.warn_by_plan(&mut step.alert).await?
        } else if step.alert.condition == Condition::Recovered && step.alert.warning.is_some() {
            self.lift_by_plan(&mut step.alert, &Actor::service())
                .await?
        } else {
            false
        };
        // with its warning it has been written once already, in its last state
        if !warned {
            self.save_alert(&step.alert);
        }
        self.save_transition((step.alert.id, version), change);
        Ok(step.alert)
    }

    /// A rule has left its shadow: what it sees now is raised now, and an alert from before its shadow that grew worse in
    /// it is told.
    async fn light(
        &mut self,
        rule: &RuleInfo,
        position: Position,
    ) -> Result<Vec<Alert>, LedgerError> {
        let mut lit = Vec::new();
        for mut alert in self.live_alerts_of(rule.id) {
            if !alert.is_open() || alert.condition != Condition::Active {
                continue;
            }
            let stepped = book::step_out(&alert, rule);
            let stepped_out = stepped.is_some();
            if let Some(stepped) = stepped {
                self.alert_event("raised", &stepped);
                alert = stepped;
            }
            let warned = self.is_heard(position) && self.warn_by_plan(&mut alert).await?;
            if stepped_out && !warned {
                self.save_alert(&alert);
            }
            if stepped_out || warned {
                lit.push(alert);
            }
        }
        Ok(lit)
    }

    fn save_transition(&mut self, (alert, version): (i64, i64), change: &Change) {
        let transition = &change.transition;
        let recorded_at = self.wall.millis();
        self.write(statement(
            "INSERT INTO transitions (alert, version, position, at, kind, level, value, recorded_at, \
             rule_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(alert)
        .bind(version)
        .bind(i64::try_from(transition.position).unwrap_or(i64::MAX))
        .bind(transition.time.millis())
        .bind(if transition.unwatched {
            "unwatched"
        } else {
            transition.kind.word()
        })
        .bind(i16::from(transition.level.rank()))
        .bind(transition.value)
        .bind(recorded_at)
        .bind(change.rule_version));
    }
}
