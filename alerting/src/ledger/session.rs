//! One transaction of the ledger. A session holds the writer, writes rows as it goes, and keeps what memory and
//! the outbox must learn until the commit has succeeded. Dropped before, it leaves nothing: what it began is rolled
//! back before the next session begins. The commit itself runs to its end even when the caller goes away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use citywatch_model::{Name, Position, Time};
use serde::Serialize;
use sqlx::SqliteConnection;
use tokio::sync::OwnedRwLockWriteGuard;

use super::alert::{Alert, Condition};
use super::delivery::Delivery;
use super::queue::Job;
use super::statement::{Statement, Statements, statement};
use super::warnings::WarningEntry;
use super::writer::{Held, Ids, Settled};
use super::{Ledger, Shared, wall};
use crate::LedgerError;
use crate::warning::WarningKind;

/// What was done, for the acts table; whom and what it concerns is optional.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Concerns {
    pub alert: Option<i64>,
    pub warning: Option<i64>,
    pub delivery: Option<i64>,
}

pub(crate) struct Session {
    pub shared: Arc<Shared>,
    writer: Held,
    pub ids: Ids,
    /// The service's clock.
    pub now: Time,
    /// The wall clock.
    pub wall: Time,
    statements: Statements,
    alerts: Vec<Alert>,
    position: Option<Position>,
    jobs: Vec<Job>,
    cancelled: Vec<i64>,
    hurried: Option<i64>,
    gate: Option<OwnedRwLockWriteGuard<()>>,
}

impl Ledger {
    /// Begins a transaction; waits for the one before.
    pub(crate) async fn begin(&self) -> Result<Session, LedgerError> {
        let mut writer = Arc::clone(&self.shared.writer).lock_owned().await;
        writer.settle().await?;
        writer.open = true;
        let mut statements = Statements::default();
        statements.add(statement("BEGIN IMMEDIATE"));
        Ok(Session {
            shared: Arc::clone(&self.shared),
            ids: writer.ids,
            writer: Held(Some(writer)),
            now: self.now(),
            wall: wall(),
            statements,
            alerts: Vec::new(),
            position: None,
            jobs: Vec::new(),
            cancelled: Vec::new(),
            hurried: None,
            gate: None,
        })
    }

    /// Position bookkeeping that needs no transaction.
    pub(super) async fn note_position(&self, position: Position) -> Settled {
        let mut writer = self.shared.writer.lock().await;
        writer.position.seen = writer.position.seen.max(position);
        writer.position
    }
}

impl Session {
    /// The connection, for reading what this transaction sees: what was written before is carried out first.
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, LedgerError> {
        let connection = &mut self.writer.connection;
        self.statements.carry_out(connection).await?;
        Ok(connection)
    }

    /// Writes, at the latest with the commit.
    pub(super) fn write(&mut self, statement: Statement) {
        self.statements.add(statement);
    }

    /// The live alert of that rule and subject, as this transaction sees it.
    pub fn live_alert(&self, rule: Name, subject: Name) -> Option<&Alert> {
        let staged = self.alerts.iter();
        // of the newest alert, its newest state
        let staged = staged
            .filter(|alert| alert.rule == rule && alert.subject == subject)
            .max_by_key(|alert| alert.id);
        let held = self.writer.book.get(rule, subject);
        match staged {
            Some(alert) if held.is_none_or(|held| held.id <= alert.id) => {
                alert.is_live().then_some(alert)
            }
            _ => held,
        }
    }

    /// Alerts of that rule and subject that were closed by force while their condition held, and whose place a newer has
    /// taken; as this transaction sees them, by number.
    pub fn displaced(&self, rule: Name, subject: Name) -> Vec<Alert> {
        let staged = self.alerts.iter();
        let staged = staged.filter(|alert| alert.rule == rule && alert.subject == subject);
        let known = self.writer.book.of(rule, subject).chain(staged);
        // the newest state of each
        let mut newest: BTreeMap<i64, &Alert> = known.map(|alert| (alert.id, alert)).collect();
        newest.pop_last();
        let live = newest.into_values().filter(|alert| alert.is_live());
        live.cloned().collect()
    }

    /// The live alerts of that rule, as this transaction sees them, by subject.
    pub fn live_alerts_of(&self, rule: Name) -> Vec<Alert> {
        let known = self.writer.book.iter().chain(&self.alerts);
        let subjects: BTreeSet<Name> = known
            .filter(|alert| alert.rule == rule)
            .map(|alert| alert.subject)
            .collect();
        let live = |subject| self.live_alert(rule, subject).cloned();
        subjects.into_iter().filter_map(live).collect()
    }

    /// The live alerts whose condition holds, by number; also those whose place a newer has taken.
    pub fn active_alerts(&self) -> Vec<Alert> {
        let known = self.writer.book.iter().chain(&self.alerts);
        // the newest state of each
        let newest: BTreeMap<i64, &Alert> = known.map(|alert| (alert.id, alert)).collect();
        let active = |alert: &&Alert| alert.is_live() && alert.condition == Condition::Active;
        newest.into_values().filter(active).cloned().collect()
    }

    /// The live alerts whose warning has lapsed, by number.
    pub fn lapsed_alerts(&self) -> Vec<Alert> {
        self.writer.book.lapsed(self.now).cloned().collect()
    }

    pub fn settled(&self) -> Settled {
        self.writer.position
    }

    /// Writes an alert, new or changed.
    pub fn save_alert(&mut self, alert: &Alert) {
        self.write(alert.save());
        self.alerts.push(alert.clone());
    }

    /// Moves the journal position.
    pub fn save_position(&mut self, position: Position) {
        let stored = i64::try_from(position).unwrap_or(i64::MAX);
        self.write(statement("UPDATE ledger SET position = $1").bind(stored));
        self.position = Some(position);
    }

    /// Writes an event for those who follow along.
    pub fn event<T: Serialize>(&mut self, kind: &str, body: &T) {
        self.save_event(kind, (None, None), Some(super::to_json(body)));
    }

    /// Writes what happened to a delivery, `what` as in `accepted`.
    pub fn delivery_event(&mut self, what: &str, delivery: &Delivery) {
        let of = (Some(delivery.alert), None);
        self.save_event(
            &format!("delivery.{what}"),
            of,
            Some(super::to_json(delivery)),
        );
    }

    /// Writes what happened to an alert, `what` as in `raised`. Those of a shadow are told apart by the kind, so that
    /// nobody who follows alerts takes one for real.
    pub fn alert_event(&mut self, what: &str, alert: &Alert) {
        let kind = if alert.shadow { "shadow" } else { "alert" };
        let of = (Some(alert.id), None);
        self.save_event(&format!("{kind}.{what}"), of, Some(super::to_json(alert)));
    }

    /// Writes the event of a new warning, whose row tells the rest.
    pub fn warning_event(&mut self, kind: WarningKind, alert: i64, warning: i64) {
        let of = (Some(alert), Some(warning));
        self.save_event(&format!("warning.{}", kind.word()), of, None);
    }

    /// Writes that a warning has lapsed.
    pub fn lapse_event(&mut self, entry: &WarningEntry) {
        let of = (Some(entry.alert), Some(entry.id));
        self.save_event("warning.expired", of, Some(super::to_json(entry)));
    }

    fn save_event(
        &mut self,
        kind: &str,
        (alert, warning): (Option<i64>, Option<i64>),
        body: Option<String>,
    ) {
        let id = self.ids.event;
        self.ids.event += 1;
        self.write(
            statement(
                "INSERT INTO events (id, at, kind, warning, body, alert) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(self.wall.millis())
            .bind(kind)
            .bind(warning)
            .bind(body)
            .bind(alert),
        );
    }

    /// Writes who did what.
    pub fn act<T: Serialize>(
        &mut self,
        actor: &super::Actor,
        act: &str,
        concerns: Concerns,
        body: &T,
    ) {
        let id = self.ids.act;
        self.ids.act += 1;
        self.write(
            statement(
                "INSERT INTO acts (id, at, actor, role, origin, act, alert, warning, delivery, body) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(id)
            .bind(self.now.millis())
            .bind(actor.name.as_str())
            .bind(actor.role.as_str())
            .bind(actor.from.as_str())
            .bind(act)
            .bind(concerns.alert)
            .bind(concerns.warning)
            .bind(concerns.delivery)
            .bind(super::to_json(body)),
        );
    }

    /// The outbox gets these once they are committed.
    pub fn queue(&mut self, jobs: impl IntoIterator<Item = Job>) {
        self.jobs.extend(jobs);
    }

    /// The outbox tries this one at once when that is committed.
    pub fn hurry(&mut self, delivery: i64) {
        self.hurried = Some(delivery);
    }

    /// The outbox forgets these once that is committed.
    pub fn cancel(&mut self, deliveries: &[i64]) {
        self.cancelled.extend_from_slice(deliveries);
    }

    /// From here until the end of the session no attempt starts.
    pub async fn hold_attempts(&mut self) {
        if self.gate.is_none() {
            self.gate = Some(self.shared.flight.hold().await);
        }
    }

    /// Makes it last, then tells memory, outbox and followers.
    pub async fn commit(self) -> Result<(), LedgerError> {
        let ended = |_| LedgerError::storage("commit")(sqlx::Error::WorkerCrashed);
        tokio::spawn(self.carry_out()).await.map_err(ended)?
    }

    /// [`Session::commit`] for a caller that never goes away half-way: without the change of task.
    pub async fn carry_out(mut self) -> Result<(), LedgerError> {
        self.writer.behind = true;
        self.statements.add(statement("COMMIT"));
        self.statements
            .carry_out(&mut self.writer.connection)
            .await?;
        self.writer.behind = false;
        self.writer.open = false;
        self.shared.checkpoints.committed(self.statements.taken());
        let committed = Instant::now();
        let newest_event = self.ids.event - 1;
        let micros = jiff::Timestamp::now().as_microsecond();
        self.shared
            .stamps
            .add(self.writer.ids.event, newest_event, micros);
        self.writer.ids = self.ids;
        for alert in self.alerts.drain(..) {
            let (id, after) = (alert.id, alert.clone());
            let before = self.writer.book.put(alert);
            let before = before.filter(|before| before.id == id);
            self.shared
                .metrics
                .alert_moved(before.as_ref(), Some(&after));
        }
        if let Some(position) = self.position {
            let seen = self.writer.position.seen.max(position);
            self.writer.position = Settled {
                stored: position,
                seen,
                written: committed,
            };
            self.shared.position.store(position, Ordering::Release);
        }
        self.shared.flight.cancel(&self.cancelled);
        for job in &self.jobs {
            self.shared.metrics.delivery_reached(&job.channel, "queued");
        }
        if let Some(outbox) = self
            .shared
            .outbox
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            outbox.put(self.jobs.drain(..), committed);
            if let Some(delivery) = self.hurried {
                outbox.hurry(delivery);
            }
        }
        self.shared.newest_event.send_if_modified(|newest| {
            let newer = newest_event > *newest;
            *newest = newest_event.max(*newest);
            newer
        });
        Ok(())
    }
}
