//! The queue of deliveries: what is put in with a warning, what the outbox takes up at start, and what a person
//! puts in again. A row here is written in the transaction of its warning, so none is ever lost.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::delivery::{Delivery, DeliveryState, recipient};
use super::session::{Concerns, Session};
use super::statement::statement;
use super::warnings::WarningState;
use super::{Call, Ledger, to_json};
use crate::LedgerError;
use crate::channel::Recipient;
use crate::directory::{Route, address_of};
use crate::flight::Flight;
use crate::warning::Warning;

/// `state < 3` names the partial index of what is not done with.
pub(super) const UNFINISHED: &str = "SELECT d.*, w.body, w.cap FROM deliveries d \
     JOIN warnings w ON w.id = d.warning WHERE d.state < 3 AND d.state IN (0, 1) ORDER BY d.id";

pub(super) const TOLD_BEFORE: &str = "SELECT message_id FROM deliveries \
     WHERE alert = $1 AND id < $2 AND channel = $3 AND address = $4 \
     GROUP BY message_id ORDER BY MIN(id)";

/// Somebody at an endpoint; it may have gone from the plans since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub recipient: Recipient,
    pub channel: String,
    pub address: String,
}

impl Target {
    /// Whether both go to the same address.
    pub fn is_at(&self, other: &Target) -> bool {
        (&self.channel, &self.address) == (&other.channel, &other.address)
    }

    /// Whether both are for the same recipient there, whatever the department is called now.
    pub fn is_for(&self, other: &Target) -> bool {
        let (one, two) = (&self.recipient, &other.recipient);
        self.is_at(other) && (&one.department, &one.contact) == (&two.department, &two.contact)
    }
}

impl From<&Route> for Target {
    fn from(route: &Route) -> Target {
        Target {
            recipient: route.recipient.clone(),
            channel: route.endpoint.kind().to_owned(),
            address: address_of(&route.endpoint),
        }
    }
}

/// A delivery of a chain, as the next message of the chain looks at it.
#[derive(Debug)]
pub(super) struct Told {
    pub id: i64,
    pub target: Target,
    /// The recipient may have it.
    pub attempted: bool,
    /// It was cancelled before an attempt.
    pub cancelled: bool,
    /// The outbox may still try.
    pub unfinished: bool,
}

impl Told {
    pub fn read(row: &SqliteRow, flight: &Flight) -> Result<Told, sqlx::Error> {
        let id = row.try_get("id")?;
        let state = DeliveryState::from_rank(row.try_get("state")?);
        let tried = row.try_get::<i64, _>("attempts")? > 0 || flight.was_attempted(id);
        let attempted = tried || !matches!(state, DeliveryState::Queued | DeliveryState::Cancelled);
        Ok(Told {
            id,
            target: Target {
                recipient: recipient(row)?,
                channel: row.try_get("channel")?,
                address: row.try_get("address")?,
            },
            attempted,
            cancelled: state == DeliveryState::Cancelled && !tried,
            unfinished: state < DeliveryState::Dead,
        })
    }
}

/// What the outbox must know to send a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub delivery: i64,
    pub alert: i64,
    /// The warning whose messages follow each other.
    pub chain: i64,
    pub message_id: String,
    pub recipient: Recipient,
    pub channel: String,
    pub address: String,
    pub attempts: u32,
    pub warning: Arc<Warning>,
    pub cap: Arc<str>,
}

impl Job {
    fn read(row: &SqliteRow, warning: Arc<Warning>, cap: Arc<str>) -> Result<Job, sqlx::Error> {
        Ok(Job {
            delivery: row.try_get("id")?,
            alert: row.try_get("alert")?,
            chain: row.try_get("chain")?,
            message_id: row.try_get("message_id")?,
            recipient: recipient(row)?,
            channel: row.try_get("channel")?,
            address: row.try_get("address")?,
            attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
            warning,
            cap,
        })
    }
}

impl Session {
    /// Queues a message for one recipient; `of` are the numbers of its warning, chain and alert.
    pub(super) fn queue_delivery(
        &mut self,
        of: (i64, i64, i64),
        target: Target,
        (warning, cap): (&Arc<Warning>, &Arc<str>),
    ) {
        let job = Job {
            delivery: self.take_delivery_id(),
            alert: of.2,
            chain: of.1,
            message_id: format!("msg_{}", uuid::Uuid::now_v7().simple()),
            recipient: target.recipient,
            channel: target.channel,
            address: target.address,
            attempts: 0,
            warning: Arc::clone(warning),
            cap: Arc::clone(cap),
        };
        self.save_job(&job, of.0, None);
        self.queue([job]);
    }

    fn take_delivery_id(&mut self) -> i64 {
        self.ids.delivery += 1;
        self.ids.delivery - 1
    }

    fn save_job(&mut self, job: &Job, warning: i64, retry_of: Option<i64>) {
        let now = self.now.millis();
        self.write(statement(
            "INSERT INTO deliveries (id, warning, chain, alert, message_id, department, department_name, contact, \
             channel, address, state, attempts, detail, created_at, retry_of) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, '', $11, $12)",
        )
        .bind(job.delivery)
        .bind(warning)
        .bind(job.chain)
        .bind(job.alert)
        .bind(job.message_id.as_str())
        .bind(job.recipient.department.as_str())
        .bind(to_json(&job.recipient.department_name))
        .bind(job.recipient.contact.as_str())
        .bind(job.channel.as_str())
        .bind(job.address.as_str())
        .bind(now)
        .bind(retry_of));
    }

    /// A dead or failed delivery as a job. Refused if sending it again would be wrong.
    async fn retriable(&mut self, id: i64) -> Result<Job, LedgerError> {
        let read = || LedgerError::storage("read a dead delivery");
        let row = sqlx::query(
            "SELECT d.*, w.body, w.cap, w.state AS warning_state, \
             (SELECT MAX(r.id) FROM deliveries r WHERE r.retry_of = d.id) AS retried_by \
             FROM deliveries d JOIN warnings w ON w.id = d.warning WHERE d.id = $1",
        )
        .bind(id)
        .fetch_optional(self.connection().await?)
        .await
        .map_err(read())?
        .ok_or_else(|| LedgerError::missing("delivery", id))?;
        let refused = |why: String| Err(LedgerError::Conflict(format!("delivery {id} {why}")));
        let state = DeliveryState::from_rank(row.try_get("state").map_err(read())?);
        if !matches!(state, DeliveryState::Dead | DeliveryState::Failed) {
            return refused(format!(
                "is {}: only one that is dead or failed can be tried again",
                state.word()
            ));
        }
        if let Some(retry) = row
            .try_get::<Option<i64>, _>("retried_by")
            .map_err(read())?
        {
            return refused(format!("was tried again as delivery {retry}: look there"));
        }
        let (warning, cap) = message(&row)?;
        if !WarningState::from_rank(row.try_get("warning_state").map_err(read())?).is_newest() {
            return refused(format!(
                "belongs to warning {}, which a newer message followed",
                warning.identifier
            ));
        }
        if warning.expires <= self.now {
            return refused(format!(
                "belongs to a warning that lapsed at {}: issue a new one",
                warning.expires
            ));
        }
        Job::read(&row, Arc::new(warning), cap.into()).map_err(read())
    }
}

fn message(row: &SqliteRow) -> Result<(Warning, String), LedgerError> {
    let read = || LedgerError::storage("read the message of a delivery");
    let body: String = row.try_get("body").map_err(read())?;
    let warning = serde_json::from_str(&body).map_err(LedgerError::corrupt("warning"))?;
    Ok((warning, row.try_get("cap").map_err(read())?))
}

impl Ledger {
    /// All deliveries that are neither finished nor given up, oldest first.
    pub(crate) async fn unfinished(&self) -> Result<Vec<Job>, LedgerError> {
        let read = || LedgerError::storage("read the queue");
        let mut connection = self.reader().await?;
        let rows = sqlx::query(UNFINISHED)
            .fetch_all(&mut *connection)
            .await
            .map_err(read())?;
        // deliveries of one warning share its message
        let mut messages: HashMap<i64, (Arc<Warning>, Arc<str>)> = HashMap::new();
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: i64 = row.try_get("warning").map_err(read())?;
            let (warning, cap) = match messages.get(&id) {
                Some(shared) => shared.clone(),
                None => {
                    let (warning, cap) = message(row)?;
                    messages
                        .entry(id)
                        .or_insert((Arc::new(warning), cap.into()))
                        .clone()
                }
            };
            jobs.push(Job::read(row, warning, cap).map_err(read())?);
        }
        Ok(jobs)
    }

    /// Message ids of what the same address was sent of the same alert before this delivery, oldest first. What was
    /// cancelled stands there too: it may have been on its way already.
    pub(crate) async fn told_before(&self, job: &Job) -> Result<Vec<String>, LedgerError> {
        let mut connection = self.reader().await?;
        sqlx::query_scalar(TOLD_BEFORE)
            .bind(job.alert)
            .bind(job.delivery)
            .bind(job.channel.as_str())
            .bind(job.address.as_str())
            .fetch_all(&mut *connection)
            .await
            .map_err(LedgerError::storage("read what was sent before"))
    }

    /// Sends a dead or failed delivery again, as a new delivery with the same message id. One that waits for its next
    /// attempt is itself attempted now, unless its receiver has asked to wait.
    ///
    /// # Errors
    /// If there is no such delivery, it has arrived or was cancelled, it was tried again already, or its warning has lapsed or was
    /// followed by a newer message.
    pub async fn retry_delivery(&self, id: i64, call: &Call) -> Result<Delivery, LedgerError> {
        let asked = super::key::fingerprint("retry", id, &());
        let mut session = self.begin().await?;
        session.admit_delivery(call, id).await?;
        if let Some(answer) = session.first_answer(call, &asked).await? {
            return Ok(answer);
        }
        let dead = Delivery::load(session.connection().await?, id).await?;
        if matches!(dead.state, DeliveryState::Queued | DeliveryState::Sending) {
            let concerns = Concerns {
                alert: Some(dead.alert),
                warning: Some(dead.warning),
                delivery: Some(id),
            };
            session.act(&call.actor, "retry", concerns, &dead);
            session.keep_answer(call, &asked, &dead);
            session.hurry(id);
            session.commit().await?;
            return Ok(dead);
        }
        let mut job = session.retriable(id).await?;
        job.delivery = session.take_delivery_id();
        job.attempts = 0;
        session.save_job(&job, dead.warning, Some(id));
        let delivery = Delivery::load(session.connection().await?, job.delivery).await?;
        let concerns = Concerns {
            alert: Some(dead.alert),
            warning: Some(dead.warning),
            delivery: Some(job.delivery),
        };
        session.act(&call.actor, "retry", concerns, &delivery);
        session.delivery_event("queued", &delivery);
        session.keep_answer(call, &asked, &delivery);
        session.queue([job]);
        session.commit().await?;
        Ok(delivery)
    }
}
