//! 叫应: what a recipient answers to a warning. An answer is a person's word, apart from what machines report of the
//! delivery; it only goes forward, but every one is kept in the audit.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::delivery::Delivery;
use super::key::fingerprint;
use super::session::Concerns;
use super::{Call, Ledger};
use crate::LedgerError;

/// What the recipient says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWord {
    /// A person has read it.
    Received = 1,
    /// Somebody is on the way.
    OnTheWay = 2,
    /// It is done.
    Done = 3,
}

impl AnswerWord {
    pub(super) const fn from_rank(rank: i64) -> Option<AnswerWord> {
        match rank {
            1 => Some(AnswerWord::Received),
            2 => Some(AnswerWord::OnTheWay),
            3 => Some(AnswerWord::Done),
            _ => None,
        }
    }
}

/// An answer with who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What.
    pub word: AnswerWord,
    /// The person who answered, as the caller gives it.
    pub by: String,
    /// In which words; may be empty.
    #[serde(default)]
    pub note: String,
}

impl Ledger {
    /// Writes what a recipient answered.
    ///
    /// # Errors
    /// If there is no such delivery, or nobody is named.
    pub async fn answer(
        &self,
        delivery: i64,
        answer: &Answer,
        call: &Call,
    ) -> Result<Delivery, LedgerError> {
        let asked = fingerprint("answer", delivery, answer);
        let mut session = self.begin().await?;
        session.admit_delivery(call, delivery).await?;
        if let Some(first) = session.first_answer(call, &asked).await? {
            return Ok(first);
        }
        if answer.by.trim().is_empty() {
            return Err(LedgerError::Invalid(
                "an answer needs `by`: name the person who gave it".to_owned(),
            ));
        }
        Delivery::load(session.connection().await?, delivery).await?;
        let now = session.now.millis();
        // a late "received" must not hide that somebody is on the way
        sqlx::query(
            "UPDATE deliveries SET answer = $2, answered_at = $3, answered_by = $4, answer_note = $5 \
             WHERE id = $1 AND (answer IS NULL OR answer <= $2)",
        )
        .bind(delivery)
        .bind(answer.word as i16)
        .bind(now)
        .bind(answer.by.trim())
        .bind(answer.note.trim())
        .execute(session.connection().await?)
        .await
        .map_err(LedgerError::storage("write an answer"))?;
        let delivery = Delivery::load(session.connection().await?, delivery).await?;
        let concerns = Concerns {
            alert: Some(delivery.alert),
            warning: Some(delivery.warning),
            delivery: Some(delivery.id),
        };
        session.act(&call.actor, "answer", concerns, answer);
        session.delivery_event("answered", &delivery);
        session.keep_answer(call, &asked, &delivery);
        session.commit().await?;
        Ok(delivery)
    }
}
