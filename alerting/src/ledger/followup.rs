//! What follows a warning: update 更新, lift 解除, correct 更正, withdraw 撤销. Each is a new message that refers to
//! all unexpired earlier ones of its chain; only the newest message of a chain can be followed.

use sqlx::Row;

use super::alert::Alert;
use super::delivery::Delivery;
use super::issue::{Draft, IssueWarning};
use super::key::fingerprint;
use super::queue::{Target, Told};
use super::session::Session;
use super::statement::statement;
use super::warnings::{WarningEntry, WarningState};
use super::{Actor, Call, Ledger, to_json};
use crate::LedgerError;
use crate::directory::Lift;
use crate::warning::{Warning, WarningKind};

/// The messages of one warning from its first to its newest.
#[derive(Debug)]
pub(super) struct Chain {
    /// Number of its first message.
    pub id: i64,
    /// The alert that all of it is about.
    pub alert: i64,
    /// Number of its newest message.
    pub head: i64,
    /// Whether the newest was issued by a plan.
    pub automatic: bool,
    /// What has not lapsed, oldest first; the newest is always here.
    pub earlier: Vec<Warning>,
}

impl Ledger {
    /// 更新: the situation changed. Goes to the plan's recipients and to everybody who was told before.
    ///
    /// # Errors
    /// If there is no such warning, it is not the one in force, the version of the alert is stale, or the text
    /// cannot stand in a CAP message.
    pub async fn update_warning(
        &self,
        id: i64,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        self.follow(id, WarningKind::Updated, wish, call).await
    }

    /// 解除: the danger is over. Goes to everybody who was told.
    ///
    /// # Errors
    /// As [`Ledger::update_warning`].
    pub async fn lift_warning(
        &self,
        id: i64,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        self.follow(id, WarningKind::Lifted, wish, call).await
    }

    /// 更正: the text was wrong, the danger stands. Goes to everybody who was told.
    ///
    /// # Errors
    /// As [`Ledger::update_warning`]; also if the note does not say what was wrong.
    pub async fn correct_warning(
        &self,
        id: i64,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        self.follow(id, WarningKind::Corrected, wish, call).await
    }

    /// 撤销: a false alarm. No attempt of the chain starts after this; whoever may have been reached is told.
    ///
    /// # Errors
    /// As [`Ledger::update_warning`]; also if the note does not say why.
    pub async fn withdraw_warning(
        &self,
        id: i64,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        self.follow(id, WarningKind::Withdrawn, wish, call).await
    }

    async fn follow(
        &self,
        id: i64,
        kind: WarningKind,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        let asked = fingerprint(kind.word(), id, wish);
        let mut session = self.begin().await?;
        session.admit_warning(call, id).await?;
        if let Some(answer) = session.first_answer(call, &asked).await? {
            return Ok(answer);
        }
        let reasonless = wish
            .note
            .as_deref()
            .is_none_or(|note| note.trim().is_empty());
        if reasonless && matches!(kind, WarningKind::Corrected | WarningKind::Withdrawn) {
            return Err(LedgerError::Invalid(format!(
                "a {} warning needs `note`: say what was wrong",
                kind.word()
            )));
        }
        let followed = session.head(id).await?;
        let mut alert = Alert::load(session.connection().await?, followed.alert).await?;
        call.check_version(&alert)?;
        if kind == WarningKind::Updated && !alert.is_open() {
            return Err(LedgerError::Conflict(format!(
                "alert {} is closed: lift or withdraw its warning",
                alert.id
            )));
        }
        let chain = session.chain(&followed).await?;
        let draft = Draft {
            kind,
            wish,
            automatic: false,
            actor: &call.actor,
            chain: Some(&chain),
        };
        let entry = session.write_warning(&mut alert, &draft).await?;
        session.keep_answer(call, &asked, &entry);
        session.commit().await?;
        Ok(entry)
    }
}

impl Session {
    /// The warning of that number, if it is in force.
    async fn head(&mut self, id: i64) -> Result<WarningEntry, LedgerError> {
        let (now, connection) = (self.now, self.connection().await?);
        let entry = WarningEntry::load(connection, id, now).await?;
        let newest = match entry.state {
            WarningState::InForce => return Ok(entry),
            WarningState::Expired => "has lapsed: issue a new one",
            WarningState::Superseded => "was followed by a newer message: act on that one",
            WarningState::Lifted => "is lifted already",
            WarningState::Withdrawn => "is withdrawn already",
            WarningState::Final => "ends its chain: nothing can follow it",
        };
        Err(LedgerError::Conflict(format!("warning {id} {newest}")))
    }

    /// The chain that `entry` belongs to.
    async fn chain(&mut self, entry: &WarningEntry) -> Result<Chain, LedgerError> {
        let now = self.now.millis();
        let read = || LedgerError::storage("read a chain of warnings");
        let rows = sqlx::query(
            "SELECT id, automatic, body FROM warnings \
             WHERE alert = $1 AND chain = $2 AND expires > $3 ORDER BY id",
        )
        .bind(entry.alert)
        .bind(entry.chain)
        .bind(now)
        .fetch_all(self.connection().await?)
        .await
        .map_err(read())?;
        let mut chain = Chain {
            id: entry.chain,
            alert: entry.alert,
            head: entry.id,
            automatic: false,
            earlier: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            chain.head = row.try_get("id").map_err(read())?;
            chain.automatic = row.try_get::<i64, _>("automatic").map_err(read())? != 0;
            let body: String = row.try_get("body").map_err(read())?;
            chain
                .earlier
                .push(serde_json::from_str(&body).map_err(LedgerError::corrupt("warning"))?);
        }
        Ok(chain)
    }

    /// The Actual warning in force on an alert; `None` if there is none or it has lapsed.
    pub(super) async fn chain_in_force(
        &mut self,
        alert: &Alert,
    ) -> Result<Option<Chain>, LedgerError> {
        let Some(id) = alert.warning else {
            return Ok(None);
        };
        let (now, connection) = (self.now, self.connection().await?);
        let head = WarningEntry::load(connection, id, now).await?;
        if head.state == WarningState::InForce {
            self.chain(&head).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// When the condition ends: what the plan says about lifting. `true` if a message, and the alert with it, was
    /// written.
    pub(super) async fn lift_by_plan(
        &mut self,
        alert: &mut Alert,
        actor: &Actor,
    ) -> Result<bool, LedgerError> {
        let Some(chain) = self.chain_in_force(alert).await? else {
            return Ok(false);
        };
        let directory = self.shared.directory();
        let lift = directory
            .plan_for(alert.plan, alert.hazard)
            .and_then(|plan| plan.lift);
        let lifts = match lift {
            Some(Lift::Automatic) => true,
            Some(Lift::Manual) => false,
            None => chain.automatic,
        };
        if lifts {
            let wish = IssueWarning::default();
            let draft = Draft {
                kind: WarningKind::Lifted,
                wish: &wish,
                automatic: true,
                actor,
                chain: Some(&chain),
            };
            self.write_warning(alert, &draft).await?;
        }
        Ok(lifts)
    }

    /// Writes the message and what it does to the earlier ones.
    pub(super) fn save_warning(&mut self, entry: &WarningEntry, cap: &str, draft: &Draft<'_>) {
        let becomes = match draft.kind {
            WarningKind::Issued | WarningKind::Updated | WarningKind::Corrected => {
                WarningState::Superseded
            }
            WarningKind::Lifted => WarningState::Lifted,
            WarningKind::Withdrawn => WarningState::Withdrawn,
        };
        if draft.chain.is_some() {
            self.write(
                statement("UPDATE warnings SET state = $3 WHERE alert = $1 AND chain = $2")
                    .bind(entry.alert)
                    .bind(entry.chain)
                    .bind(becomes.rank()),
            );
        }
        self.write(statement(
            "INSERT INTO warnings (id, chain, alert, identifier, hazard, sent, expires, state, automatic, issued_by, \
             body, cap) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(entry.id)
        .bind(entry.chain)
        .bind(entry.alert)
        .bind(entry.warning.identifier.as_str())
        .bind(entry.warning.hazard.as_str())
        .bind(entry.warning.sent.millis())
        .bind(entry.warning.expires.millis())
        .bind(entry.state.rank())
        .bind(i16::from(entry.automatic))
        .bind(entry.issued_by.as_str())
        .bind(to_json(&entry.warning))
        .bind(cap));
    }

    /// Everybody to whom a message of the chain went or still goes.
    pub(super) async fn told(&mut self, chain: &Chain) -> Result<Vec<Target>, LedgerError> {
        let rows = self.chain_deliveries(chain).await?;
        Ok(rows
            .into_iter()
            .filter(|row| !row.cancelled)
            .map(|row| row.target)
            .collect())
    }

    /// Cancels what has not been tried; answers everybody who may have been reached.
    pub(super) async fn cancel_unsent(
        &mut self,
        chain: &Chain,
    ) -> Result<Vec<Target>, LedgerError> {
        self.hold_attempts().await;
        let rows = self.chain_deliveries(chain).await?;
        let now = self.now.millis();
        let cancelled = sqlx::query(
            "UPDATE deliveries SET state = 3, ended_at = $3, detail = 'the warning was withdrawn' \
             WHERE alert = $1 AND chain = $2 AND state < 2 RETURNING *",
        )
        .bind(chain.alert)
        .bind(chain.id)
        .bind(now)
        .fetch_all(self.connection().await?)
        .await
        .map_err(LedgerError::storage("cancel deliveries"))?;
        for row in &cancelled {
            self.delivery_event("cancelled", &Delivery::from_row(row)?);
        }
        let unfinished: Vec<i64> = rows
            .iter()
            .filter(|row| row.unfinished)
            .map(|row| row.id)
            .collect();
        self.cancel(&unfinished);
        Ok(rows
            .into_iter()
            .filter(|row| row.attempted)
            .map(|row| row.target)
            .collect())
    }

    async fn chain_deliveries(&mut self, chain: &Chain) -> Result<Vec<Told>, LedgerError> {
        let read = || LedgerError::storage("read the deliveries of a chain");
        let rows =
            sqlx::query("SELECT * FROM deliveries WHERE alert = $1 AND chain = $2 ORDER BY id")
                .bind(chain.alert)
                .bind(chain.id)
                .fetch_all(self.connection().await?)
                .await
                .map_err(read())?;
        rows.iter()
            .map(|row| Told::read(row, &self.shared.flight).map_err(read()))
            .collect()
    }
}
