//! What a gateway reports of a delivery after it has accepted it. Reports come in any order and more than once; the
//! state of the delivery never moves backwards, and every report is kept, up to a limit for each delivery beyond which
//! only those are that change something.
//!
//! A report of failure ends the delivery only if it is about the newest attempt, since an earlier one may have been
//! lost while a later one arrives. It then wants a person, as a dead delivery does; a later report of success still
//! wins.

use citywatch_model::Time;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::delivery::{Delivery, DeliveryState};
use super::session::{Concerns, Session};
use super::statement::statement;
use super::{Actor, Ledger};
use crate::LedgerError;
use crate::cap::one_line;
use crate::links::ReceiptOf;

/// A gateway that repeats itself fills no disk.
const MAX_RECEIPTS: i64 = 32;
/// Longer words of a carrier are cut.
const MAX_CHARS: usize = 200;

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// It is on its way.
    Accepted,
    /// It will not arrive, or nobody knows whether it did.
    Failed,
    /// It has arrived.
    Delivered,
    /// A number that means nothing here; only kept.
    Unknown,
}

impl Meaning {
    /// Kannel's delivery report values: 1 delivered, 2 failed, 4 queued by the carrier, 8 taken by the carrier, 16
    /// refused by the carrier, 0x22 expired, 0x42 fate unknown to the carrier.
    #[must_use]
    pub const fn of_kannel(status: i64) -> Meaning {
        match status {
            1 => Meaning::Delivered,
            2 | 16 | 0x22 | 0x42 => Meaning::Failed,
            4 | 8 => Meaning::Accepted,
            _ => Meaning::Unknown,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Meaning::Accepted => "accepted",
            Meaning::Failed => "failed",
            Meaning::Delivered => "delivered",
            Meaning::Unknown => "unknown",
        }
    }

    fn from_word(word: &str) -> Meaning {
        let all = [Meaning::Accepted, Meaning::Failed, Meaning::Delivered];
        all.into_iter()
            .find(|meaning| meaning.word() == word)
            .unwrap_or(Meaning::Unknown)
    }
}

/// A report as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptReport {
    /// The attempt that it is about.
    pub of: ReceiptOf,
    /// The gateway's number.
    pub status: i64,
    /// The carrier's words; may be empty.
    pub detail: String,
}

/// A report as it was kept
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// From 1, in the order in which they came.
    pub number: i64,
    /// When it came, on the wall clock.
    pub at: Time,
    /// The attempt that it is about.
    pub attempt: i64,
    /// The gateway's number.
    pub status: i64,
    /// What that means.
    pub meaning: Meaning,
    /// Whether it changed the state of the delivery.
    pub changed: bool,
    /// The carrier's words.
    pub detail: String,
}

impl Receipt {
    pub(super) fn from_row(row: &SqliteRow) -> Result<Receipt, LedgerError> {
        let read = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(Receipt {
                number: row.try_get("number")?,
                at: Time::from_millis(row.try_get("at")?),
                attempt: row.try_get("attempt")?,
                status: row.try_get("status")?,
                meaning: Meaning::from_word(row.try_get("meaning")?),
                changed: row.try_get::<i64, _>("changed")? != 0,
                detail: row.try_get("detail")?,
            })
        };
        read(row).map_err(LedgerError::storage("read a report of a gateway"))
    }
}

impl Ledger {
    /// Keeps a gateway's report and moves the delivery on if it says more than is known. Durable when it returns.
    ///
    /// # Errors
    /// If there is no such delivery, or the database fails.
    pub async fn take_receipt(&self, report: &ReceiptReport) -> Result<Delivery, LedgerError> {
        let mut session = self.begin().await?;
        let meaning = Meaning::of_kannel(report.status);
        let before = Delivery::load(session.connection().await?, report.of.delivery).await?;
        let state = after(&before, report.of.attempt, meaning);
        let changed = state != before.state;
        session.keep_receipt(report, meaning, changed).await?;
        let words = one_line(&report.detail, MAX_CHARS);
        let delivery = if changed {
            let why = format!("the gateway reports {}", said(report.status, &words));
            session.move_to(&before, state, &why).await?
        } else {
            before
        };
        session.commit().await?;
        Ok(delivery)
    }
}

/// `2 (failed): UNDELIV`.
fn said(status: i64, words: &str) -> String {
    let meaning = match status {
        0x22 => "expired",
        0x42 => "fate unknown",
        16 => "refused by the carrier",
        4 => "queued by the carrier",
        8 => "taken by the carrier",
        _ => Meaning::of_kannel(status).word(),
    };
    if words.is_empty() {
        format!("{status} ({meaning})")
    } else {
        format!("{status} ({meaning}): {words}")
    }
}

/// The state of a delivery after a report about its attempt `attempt`.
fn after(delivery: &Delivery, attempt: u32, meaning: Meaning) -> DeliveryState {
    let state = delivery.state;
    match meaning {
        Meaning::Delivered => DeliveryState::Delivered,
        Meaning::Accepted => state.max(DeliveryState::Accepted),
        // before the outbox has written that the attempt was accepted it is only kept: see `failed_already`
        Meaning::Failed if i64::from(attempt) < delivery.attempts => state,
        Meaning::Failed if state == DeliveryState::Accepted => DeliveryState::Failed,
        Meaning::Failed | Meaning::Unknown => state,
    }
}

impl Session {
    async fn keep_receipt(
        &mut self,
        report: &ReceiptReport,
        meaning: Meaning,
        changed: bool,
    ) -> Result<(), LedgerError> {
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM receipts WHERE delivery = $1")
            .bind(report.of.delivery)
            .fetch_one(self.connection().await?)
            .await
            .map_err(LedgerError::storage("count reports of a gateway"))?;
        if kept >= MAX_RECEIPTS && !changed {
            return Ok(());
        }
        let at = self.wall.millis();
        self.write(
            statement(
                "INSERT INTO receipts (delivery, number, at, attempt, status, meaning, changed, detail) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(report.of.delivery)
            .bind(kept + 1)
            .bind(at)
            .bind(i64::from(report.of.attempt))
            .bind(report.status)
            .bind(meaning.word())
            .bind(i16::from(changed))
            .bind(one_line(&report.detail, MAX_CHARS)),
        );
        Ok(())
    }

    /// An attempt that the outbox has just seen accepted may have been reported as failed before.
    pub(super) async fn failed_already(
        &mut self,
        delivery: &Delivery,
        attempt: u32,
    ) -> Result<(), LedgerError> {
        if delivery.channel != crate::channel::SMS {
            return Ok(());
        }
        let row = sqlx::query(
            "SELECT status, detail FROM receipts WHERE delivery = $1 AND attempt = $2 AND meaning = 'failed' \
             ORDER BY number DESC LIMIT 1",
        )
        .bind(delivery.id)
        .bind(i64::from(attempt))
        .fetch_optional(self.connection().await?)
        .await
        .map_err(LedgerError::storage("read reports of a gateway"))?;
        let Some(row) = row else { return Ok(()) };
        let read = || LedgerError::storage("read a report of a gateway");
        let words: String = row.try_get("detail").map_err(read())?;
        let status: i64 = row.try_get("status").map_err(read())?;
        let why = format!("the gateway reports {}", said(status, &words));
        self.move_to(delivery, DeliveryState::Failed, &why).await?;
        Ok(())
    }

    /// Moves a delivery to a later state on a gateway's word, and tells those who must know.
    async fn move_to(
        &mut self,
        before: &Delivery,
        state: DeliveryState,
        why: &str,
    ) -> Result<Delivery, LedgerError> {
        let now = self.now.millis();
        let row = sqlx::query(
            "UPDATE deliveries SET state = $2, detail = $3, accepted_at = COALESCE(accepted_at, $4), \
             delivered_at = CASE WHEN $2 = 6 THEN COALESCE(delivered_at, $4) ELSE delivered_at END, \
             ended_at = CASE WHEN $2 = 5 THEN COALESCE(ended_at, $4) ELSE ended_at END \
             WHERE id = $1 RETURNING *",
        )
        .bind(before.id)
        .bind(state as i16)
        .bind(why)
        .bind(now)
        .fetch_one(self.connection().await?)
        .await
        .map_err(LedgerError::storage("write what a gateway reports"))?;
        let delivery = Delivery::from_row(&row)?;
        self.delivery_event(state.word(), &delivery);
        self.shared
            .metrics
            .delivery_reached(&delivery.channel, state.word());
        if before.state < DeliveryState::Dead {
            // the gateway has it, whatever we heard of our own attempt
            self.cancel(&[delivery.id]);
        }
        if state == DeliveryState::Failed {
            self.tell_of_failure(&delivery, why);
        }
        Ok(delivery)
    }

    fn tell_of_failure(&mut self, delivery: &Delivery, why: &str) {
        tracing::error!(
            delivery = delivery.id,
            warning = delivery.warning,
            channel = delivery.channel,
            address = delivery.address,
            department = delivery.recipient.department,
            reason = why,
            "a delivery that was accepted did not arrive"
        );
        let concerns = Concerns {
            alert: Some(delivery.alert),
            warning: Some(delivery.warning),
            delivery: Some(delivery.id),
        };
        self.act(&Actor::service(), "fail", concerns, &why);
    }
}
