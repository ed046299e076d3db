//! Deliveries: one warning to one recipient by one channel. The state only grows, whatever order reports and
//! receipts come in: queued, sending, dead, cancelled, accepted, failed, delivered. Good news beats bad: a delivery
//! that was given up and turns out to have arrived is delivered.

use citywatch_model::{Text, Time};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use utoipa::ToSchema;

use super::answer::AnswerWord;
use crate::LedgerError;
use crate::channel::Recipient;

/// How far a delivery is. Accepted and delivered are what the channel's file says they are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waiting for its first attempt.
    Queued = 0,
    /// At least one attempt has started.
    Sending = 1,
    /// Given up; a person must look.
    Dead = 2,
    /// No longer to be sent: withdrawn, or a newer message says more.
    Cancelled = 3,
    /// The next hop has it.
    Accepted = 4,
    /// The next hop had taken it, and reports that it did not arrive; a person must look.
    Failed = 5,
    /// The recipient's endpoint has it.
    Delivered = 6,
}

impl DeliveryState {
    /// All states, in order.
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Queued,
        DeliveryState::Sending,
        DeliveryState::Dead,
        DeliveryState::Cancelled,
        DeliveryState::Accepted,
        DeliveryState::Failed,
        DeliveryState::Delivered,
    ];

    /// The word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::Sending => "sending",
            DeliveryState::Cancelled => "cancelled",
            DeliveryState::Dead => "dead",
            DeliveryState::Accepted => "accepted",
            DeliveryState::Failed => "failed",
            DeliveryState::Delivered => "delivered",
        }
    }

    pub(super) fn from_rank(rank: i64) -> DeliveryState {
        // ranks are written by this program only; one beyond the last would be a state that it never had
        usize::try_from(rank)
            .ok()
            .and_then(|rank| Self::ALL.get(rank).copied())
            .unwrap_or(DeliveryState::Queued)
    }
}

/// One warning to one recipient by one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Number.
    pub id: i64,
    /// The warning.
    pub warning: i64,
    /// Its alert.
    pub alert: i64,
    /// The same for every attempt, and for a retry by hand: recipients tell repetitions by it.
    pub message_id: String,
    /// To whom.
    pub recipient: Recipient,
    /// Kind of the channel.
    pub channel: String,
    /// Where to, without what may be secret in an address (user, password, query).
    pub address: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: i64,
    /// What the newest attempt came to.
    pub detail: String,
    /// When it was queued.
    pub created_at: Time,
    /// When the next hop took it.
    pub accepted_at: Option<Time>,
    /// When the recipient's endpoint had it.
    pub delivered_at: Option<Time>,
    /// When it was cancelled, given up or reported as failed.
    pub ended_at: Option<Time>,
    /// What the recipient has answered.
    pub answer: Option<AnswerWord>,
    /// When.
    pub answered_at: Option<Time>,
    /// Who.
    pub answered_by: Option<String>,
    /// In which words.
    pub answer_note: Option<String>,
    /// The dead or failed delivery that this one tries again.
    pub retry_of: Option<i64>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub number: i64,
    /// When it started, on the wall clock.
    pub at: Time,
    /// `delivered`, `accepted`, `retry` or `refused`.
    pub outcome: String,
    /// HTTP status, where there is one.
    pub status: Option<i64>,
    /// What the channel said.
    pub detail: String,
    /// How long it took, in microseconds.
    pub latency_us: i64,
}

/// At start every queued delivery may have been tried by the process before: whoever may have been reached must
/// hear of a withdrawal.
pub(super) async fn presume_attempted(
    connection: &mut SqliteConnection,
) -> Result<(), LedgerError> {
    sqlx::query("UPDATE deliveries SET state = 1 WHERE state = 0 AND state < 3")
        .execute(connection)
        .await
        .map_err(LedgerError::storage("take the queue up"))?;
    Ok(())
}

impl Delivery {
    pub(super) fn from_row(row: &SqliteRow) -> Result<Delivery, LedgerError> {
        read(row).map_err(LedgerError::storage("read a delivery"))
    }

    pub(super) async fn load(
        connection: &mut SqliteConnection,
        id: i64,
    ) -> Result<Delivery, LedgerError> {
        let row = sqlx::query("SELECT * FROM deliveries WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await
            .map_err(LedgerError::storage("read a delivery"))?;
        row.as_ref()
            .map(Delivery::from_row)
            .transpose()?
            .ok_or_else(|| LedgerError::missing("delivery", id))
    }
}

fn read(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    let time = |column: &str| {
        row.try_get::<Option<i64>, _>(column)
            .map(|at| at.map(Time::from_millis))
    };
    Ok(Delivery {
        id: row.try_get("id")?,
        warning: row.try_get("warning")?,
        alert: row.try_get("alert")?,
        message_id: row.try_get("message_id")?,
        recipient: recipient(row)?,
        channel: row.try_get("channel")?,
        address: shown_address(&row.try_get::<String, _>("address")?),
        state: DeliveryState::from_rank(row.try_get("state")?),
        attempts: row.try_get("attempts")?,
        detail: row.try_get("detail")?,
        created_at: Time::from_millis(row.try_get("created_at")?),
        accepted_at: time("accepted_at")?,
        delivered_at: time("delivered_at")?,
        ended_at: time("ended_at")?,
        answer: row
            .try_get::<Option<i64>, _>("answer")?
            .and_then(AnswerWord::from_rank),
        answered_at: time("answered_at")?,
        answered_by: row.try_get("answered_by")?,
        answer_note: row.try_get("answer_note")?,
        retry_of: row.try_get("retry_of")?,
    })
}

pub(super) fn recipient(row: &SqliteRow) -> Result<Recipient, sqlx::Error> {
    let name: String = row.try_get("department_name")?;
    Ok(Recipient {
        department: row.try_get("department")?,
        department_name: serde_json::from_str(&name).unwrap_or_else(|_| Text::same(&name)),
        contact: row.try_get("contact")?,
    })
}

/// The address without user, password and query, where gateways put their keys.
fn shown_address(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else {
        return address.to_owned();
    };
    let bare = url.set_username("").and(url.set_password(None));
    url.set_query(None);
    if bare.is_ok() {
        url.to_string()
    } else {
        address.to_owned()
    }
}
