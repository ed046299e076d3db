//! What people do to an alert: acknowledge 接警, verify 研判, assign 派单, close 办结. Each act is checked
//! against the version that the person saw, written to the audit, and done once per idempotency key. Handling
//! never moves backwards.

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::alert::{Alert, Condition, Handling, Verdict};
use super::key::fingerprint;
use super::session::Concerns;
use crate::LedgerError;
use crate::accounts::View;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Account or token name.
    pub name: String,
    /// Role at that moment.
    pub role: String,
    /// Where the call came from, such as an address.
    pub from: String,
}

impl Actor {
    /// The service itself, acting for a plan.
    #[must_use]
    pub fn service() -> Actor {
        Actor {
            name: "citywatch".to_owned(),
            role: "service".to_owned(),
            from: String::new(),
        }
    }
}

/// The circumstances of an act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    /// Who.
    pub actor: Actor,
    /// Version of the alert that the actor saw; absent: whatever it is.
    pub version: Option<i64>,
    /// Idempotency key.
    pub key: Option<String>,
    /// What the actor may see; what lies outside does not exist for him.
    pub view: View,
}

/// One act with its arguments, as it goes into the audit.
#[derive(Debug, Serialize)]
#[serde(tag = "act", rename_all = "lowercase")]
enum Deed<'a> {
    Acknowledge { note: &'a str },
    Verify { verdict: Verdict, note: &'a str },
    Assign { to: &'a str, note: &'a str },
    Close { note: &'a str, force: bool },
}

impl Deed<'_> {
    /// The act and what the event says happened.
    const fn names(&self) -> (&'static str, &'static str) {
        match self {
            Deed::Acknowledge { .. } => ("acknowledge", "acknowledged"),
            Deed::Verify { .. } => ("verify", "verified"),
            Deed::Assign { .. } => ("assign", "assigned"),
            Deed::Close { .. } => ("close", "closed"),
        }
    }

    const fn note(&self) -> &str {
        match self {
            Deed::Acknowledge { note }
            | Deed::Verify { note, .. }
            | Deed::Assign { note, .. }
            | Deed::Close { note, .. } => note,
        }
    }
}

impl Ledger {
    /// 接警: somebody has seen it and takes it on.
    ///
    /// # Errors
    /// If there is no such alert, it is closed, or the version is stale.
    pub async fn acknowledge(
        &self,
        alert: i64,
        note: &str,
        call: &Call,
    ) -> Result<Alert, LedgerError> {
        self.act(alert, Deed::Acknowledge { note }, call).await
    }

    /// 研判: somebody has judged whether it is true.
    ///
    /// # Errors
    /// As [`Ledger::acknowledge`].
    pub async fn verify(
        &self,
        alert: i64,
        verdict: Verdict,
        note: &str,
        call: &Call,
    ) -> Result<Alert, LedgerError> {
        self.act(alert, Deed::Verify { verdict, note }, call).await
    }

    /// 派单: a department or person `to` was sent.
    ///
    /// # Errors
    /// As [`Ledger::acknowledge`], and if `to` is empty.
    pub async fn assign(
        &self,
        alert: i64,
        to: &str,
        note: &str,
        call: &Call,
    ) -> Result<Alert, LedgerError> {
        self.act(alert, Deed::Assign { to, note }, call).await
    }

    /// 办结: done. While the condition holds it takes `force`.
    ///
    /// # Errors
    /// As [`Ledger::acknowledge`]; also if the note is empty, or the condition holds and `force` is not set.
    pub async fn close(
        &self,
        alert: i64,
        note: &str,
        force: bool,
        call: &Call,
    ) -> Result<Alert, LedgerError> {
        self.act(alert, Deed::Close { note, force }, call).await
    }

    async fn act(&self, id: i64, deed: Deed<'_>, call: &Call) -> Result<Alert, LedgerError> {
        let (act, event) = deed.names();
        let asked = fingerprint(act, id, &deed);
        let mut session = self.begin().await?;
        session.admit_alert(call, id).await?;
        if let Some(answer) = session.first_answer(call, &asked).await? {
            return Ok(answer);
        }
        let mut alert = Alert::load(session.connection().await?, id).await?;
        call.check_version(&alert)?;
        check(&alert, &deed)?;
        carry_out(&mut alert, &deed, call, session.now);
        session.save_alert(&alert);
        session.act(
            &call.actor,
            act,
            Concerns {
                alert: Some(id),
                ..Concerns::default()
            },
            &deed,
        );
        session.alert_event(event, &alert);
        session.keep_answer(call, &asked, &alert);
        session.commit().await?;
        Ok(alert)
    }
}

impl Call {
    /// Refuses a caller who has not seen the present version.
    pub(super) fn check_version(&self, alert: &Alert) -> Result<(), LedgerError> {
        match self.version {
            Some(seen) if seen != alert.version => Err(LedgerError::Stale {
                id: alert.id,
                seen,
                present: alert.version,
            }),
            _ => Ok(()),
        }
    }
}

fn check(alert: &Alert, deed: &Deed<'_>) -> Result<(), LedgerError> {
    if !alert.is_open() {
        return Err(LedgerError::Conflict(format!(
            "alert {} is closed: nothing more can be done to it",
            alert.id
        )));
    }
    match deed {
        Deed::Assign { to, .. } if to.trim().is_empty() => Err(LedgerError::Invalid(
            "assign needs `to`: name the department or person who is sent".to_owned(),
        )),
        Deed::Close { note, .. } if note.trim().is_empty() => Err(LedgerError::Invalid(
            "close needs `note`: say what was found and done".to_owned(),
        )),
        Deed::Close { force: false, .. } if alert.condition == Condition::Active => {
            Err(LedgerError::Conflict(format!(
                "alert {} cannot be closed while its condition holds: wait for recovery, or close with `force`",
                alert.id
            )))
        }
        _ => Ok(()),
    }
}

fn carry_out(alert: &mut Alert, deed: &Deed<'_>, call: &Call, now: citywatch_model::Time) {
    let reached = match deed {
        Deed::Acknowledge { .. } => Handling::Acknowledged,
        Deed::Verify { verdict, .. } => {
            alert.verdict = Some(*verdict);
            Handling::Verified
        }
        Deed::Assign { to, .. } => {
            alert.assignee = Some((*to).trim().to_owned());
            Handling::Assigned
        }
        Deed::Close { .. } => {
            alert.closed_at = Some(now);
            Handling::Closed
        }
    };
    // whoever verifies or assigns has seen it too
    alert.acknowledged_by = Some(call.actor.name.clone());
    alert.acknowledged_level = alert.acknowledged_level.max(Some(alert.level));
    alert.needs_attention = false;
    alert.handling = alert.handling.max(reached);
    alert.version += 1;
    if !deed.note().trim().is_empty() {
        deed.note().trim().clone_into(&mut alert.note);
    }
}
