//! What the outbox reports of deliveries, and how the ledger writes it: many reports in one transaction, no state
//! backwards, and whatever was given up named for a person.

use std::time::Duration;

use citywatch_model::Time;

use super::delivery::{Delivery, DeliveryState};
use super::session::{Concerns, Session};
use super::statement::statement;
use super::{Actor, Ledger};
use crate::LedgerError;

/// An endpoint that refuses for days fills no disk: of one delivery the log keeps the first attempts and the newest.
const FIRST_ATTEMPTS: i64 = 20;
const NEWEST_ATTEMPTS: i64 = 100;

/// What an attempt, or the decision to make no more, came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Delivered,
    Accepted,
    /// To be tried again.
    Retry,
    /// Refused for good.
    Refused,
    /// Given up without a further attempt.
    GaveUp,
    /// A newer message says more.
    Superseded,
}

/// What the outbox reports of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub delivery: i64,
    pub number: u32,
    pub at: Time,
    pub took: Duration,
    pub status: Option<u16>,
    pub detail: String,
    pub outcome: Outcome,
}

impl Outcome {
    const fn state(&self) -> DeliveryState {
        match self {
            Outcome::Delivered => DeliveryState::Delivered,
            Outcome::Accepted => DeliveryState::Accepted,
            Outcome::Retry => DeliveryState::Sending,
            Outcome::Refused | Outcome::GaveUp => DeliveryState::Dead,
            Outcome::Superseded => DeliveryState::Cancelled,
        }
    }

    /// The word in the log of attempts; `None` if there was no attempt.
    pub const fn attempt(&self) -> Option<&'static str> {
        match self {
            Outcome::Delivered => Some("delivered"),
            Outcome::Accepted => Some("accepted"),
            Outcome::Retry => Some("retry"),
            Outcome::Refused => Some("refused"),
            Outcome::GaveUp | Outcome::Superseded => None,
        }
    }

    /// Whether the outbox is done with the delivery.
    pub fn is_final(&self) -> bool {
        *self != Outcome::Retry
    }
}

impl Session {
    /// Writes what the outbox reports of one delivery.
    async fn record(&mut self, report: &Report) -> Result<(), LedgerError> {
        let state = report.outcome.state();
        let row = sqlx::query(
            "UPDATE deliveries SET \
             state = CASE WHEN state < $2 THEN $2 ELSE state END, \
             attempts = CASE WHEN attempts < $3 THEN $3 ELSE attempts END, \
             detail = CASE WHEN state <= $2 THEN $4 ELSE detail END, \
             accepted_at = CASE WHEN $2 >= 4 THEN COALESCE(accepted_at, $5) ELSE accepted_at END, \
             delivered_at = CASE WHEN $2 = 6 THEN COALESCE(delivered_at, $5) ELSE delivered_at END, \
             ended_at = CASE WHEN $2 IN (2, 3) THEN COALESCE(ended_at, $5) ELSE ended_at END \
             WHERE id = $1 RETURNING *",
        )
        .bind(report.delivery)
        .bind(state as i16)
        .bind(i64::from(report.number))
        .bind(report.detail.as_str())
        .bind(self.now.millis())
        .fetch_optional(self.connection().await?)
        .await
        .map_err(LedgerError::storage("write what became of a delivery"))?;
        let Some(row) = row else {
            tracing::error!(
                delivery = report.delivery,
                "a report of a delivery that the ledger does not know"
            );
            return Ok(());
        };
        let delivery = Delivery::from_row(&row)?;
        if let Some(outcome) = report.outcome.attempt() {
            self.save_attempt(report, outcome);
        }
        self.delivery_event(delivery.state.word(), &delivery);
        if report.outcome == Outcome::Accepted && delivery.state == DeliveryState::Accepted {
            self.failed_already(&delivery, report.number).await?;
        }
        if delivery.state == state && report.outcome.is_final() {
            self.shared
                .metrics
                .delivery_reached(&delivery.channel, state.word());
        }
        if delivery.state == DeliveryState::Dead {
            tracing::error!(
                delivery = delivery.id,
                warning = delivery.warning,
                channel = delivery.channel,
                address = delivery.address,
                department = delivery.recipient.department,
                reason = report.detail,
                "a delivery was given up"
            );
            let concerns = Concerns {
                alert: Some(delivery.alert),
                warning: Some(delivery.warning),
                delivery: Some(delivery.id),
            };
            self.act(&Actor::service(), "give up", concerns, &report.detail);
        }
        Ok(())
    }

    fn save_attempt(&mut self, report: &Report, outcome: &str) {
        // reports whose commit seemed to fail come again
        self.write(
            statement(
                "INSERT INTO attempts (delivery, number, at, outcome, status, detail, latency_us) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery, number) DO NOTHING",
            )
            .bind(report.delivery)
            .bind(i64::from(report.number))
            .bind(report.at.millis())
            .bind(outcome)
            .bind(report.status.map(i64::from))
            .bind(report.detail.as_str())
            .bind(i64::try_from(report.took.as_micros()).unwrap_or(i64::MAX)),
        );
        let number = i64::from(report.number);
        if number > FIRST_ATTEMPTS + NEWEST_ATTEMPTS {
            self.write(
                statement(
                    "DELETE FROM attempts WHERE delivery = $1 AND number > $2 AND number <= $3",
                )
                .bind(report.delivery)
                .bind(FIRST_ATTEMPTS)
                .bind(number - NEWEST_ATTEMPTS),
            );
        }
    }
}

impl Ledger {
    /// Writes what the outbox reports, all in one transaction.
    pub(crate) async fn record(&self, reports: &[Report]) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        for report in reports {
            session.record(report).await?;
        }
        session.commit().await
    }
}
