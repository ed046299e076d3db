//! A warning goes out: by one click, or because a plan is automatic. Text, CAP message and deliveries are written
//! in one transaction; the outbox hears of them after the commit.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Text};
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::followup::Chain;
use super::key::fingerprint;
use super::session::{Concerns, Session};
use super::warnings::{WarningEntry, WarningState};
use super::{Actor, Call, Ledger};
use crate::warning::{Status, Warning, WarningKind};
use crate::{LedgerError, cap};

/// What the operator wishes other than the alert and its plan say; all of it may stay empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IssueWarning {
    /// Instead of the composed line.
    pub headline: Option<Text>,
    /// Instead of the composed text.
    pub description: Option<Text>,
    /// Instead of the rule's advice.
    pub instruction: Option<Text>,
    /// Instead of the alert's level.
    pub level: Option<Level>,
    /// These departments instead of the plan's, wherever they are.
    pub departments: Option<Vec<String>>,
    /// Only these kinds of channels.
    pub channels: Option<Vec<String>>,
    /// Actual, or a drill or test that says so in its headline.
    pub status: Status,
    /// Name of the drill.
    pub exercise: Option<String>,
    /// How long it is in force.
    pub expires: Option<Duration>,
    /// Why: of an update, correction, lifting or withdrawal.
    pub note: Option<String>,
}

/// A message about to be written.
pub(super) struct Draft<'a> {
    pub kind: WarningKind,
    pub wish: &'a IssueWarning,
    pub automatic: bool,
    pub actor: &'a Actor,
    pub chain: Option<&'a Chain>,
}

impl Ledger {
    /// The one click: the CAP message and all deliveries in one transaction.
    ///
    /// # Errors
    /// If there is no such alert, it is closed or has a warning in force, the version is stale, no plan serves it,
    /// nobody would be told, or the texts cannot stand in a CAP message.
    pub async fn issue_warning(
        &self,
        alert: i64,
        wish: &IssueWarning,
        call: &Call,
    ) -> Result<WarningEntry, LedgerError> {
        let asked = fingerprint("issue", alert, wish);
        let mut session = self.begin().await?;
        session.admit_alert(call, alert).await?;
        if let Some(answer) = session.first_answer(call, &asked).await? {
            return Ok(answer);
        }
        let mut alert = Alert::load(session.connection().await?, alert).await?;
        call.check_version(&alert)?;
        if !alert.is_open() {
            return Err(LedgerError::Conflict(format!(
                "alert {} is closed: no warning can be issued on it",
                alert.id
            )));
        }
        if alert.shadow {
            return Err(LedgerError::Conflict(format!(
                "alert {} is a shadow: its rule `{}` is on trial and warns nobody; make the rule live, or raise the alarm by hand",
                alert.id, alert.rule
            )));
        }
        if wish.status == Status::Actual
            && let Some(chain) = session.chain_in_force(&alert).await?
        {
            return Err(LedgerError::Conflict(format!(
                "alert {} has warning {} in force: update, correct, lift or withdraw that one",
                alert.id, chain.head
            )));
        }
        let draft = Draft {
            kind: WarningKind::Issued,
            wish,
            automatic: false,
            actor: &call.actor,
            chain: None,
        };
        let entry = session.write_warning(&mut alert, &draft).await?;
        session.keep_answer(call, &asked, &entry);
        session.commit().await?;
        Ok(entry)
    }
}

impl Session {
    /// What an automatic plan does when the condition begins or worsens: a warning, or an update of the one in
    /// force if that says less. `true` if a message, and the alert with it, was written.
    pub(super) async fn warn_by_plan(&mut self, alert: &mut Alert) -> Result<bool, LedgerError> {
        let directory = self.shared.directory();
        let plan = directory.plan_for(alert.plan, alert.hazard);
        if !plan
            .and_then(|plan| plan.levels.get(&alert.level))
            .is_some_and(|level| level.automatic)
        {
            return Ok(false);
        }
        let chain = self.chain_in_force(alert).await?;
        if chain.is_some() && alert.warned >= Some(alert.level) {
            return Ok(false);
        }
        let kind = if chain.is_some() {
            WarningKind::Updated
        } else {
            WarningKind::Issued
        };
        let wish = IssueWarning::default();
        let draft = Draft {
            kind,
            wish: &wish,
            automatic: true,
            actor: &Actor::service(),
            chain: chain.as_ref(),
        };
        self.write_warning(alert, &draft).await?;
        Ok(true)
    }

    /// Writes the alert, the message on it, its recipients, event and act. One that is not Actual leaves the alert
    /// as it is.
    pub(super) async fn write_warning(
        &mut self,
        alert: &mut Alert,
        draft: &Draft<'_>,
    ) -> Result<WarningEntry, LedgerError> {
        let directory = self.shared.directory();
        let plan = directory.plan_for(alert.plan, alert.hazard);
        let warning = self.compose(alert, draft, plan);
        self.check_message(&warning, draft)?;
        let targets = self.recipients(alert, draft, &directory, &warning).await?;
        if targets.is_empty() && draft.automatic {
            tracing::error!(alert = alert.id, level = %warning.level, "an automatic warning reaches nobody: complete its plan");
        }
        let id = self.ids.warning;
        self.ids.warning += 1;
        let entry = WarningEntry {
            id,
            chain: draft.chain.map_or(id, |chain| chain.id),
            alert: alert.id,
            state: WarningState::of_new(draft.kind),
            automatic: draft.automatic,
            issued_by: draft.actor.name.clone(),
            warning,
        };
        if entry.warning.status == Status::Actual {
            let in_force = !draft.kind.ends();
            alert.warning = in_force.then_some(id);
            alert.warned = in_force.then_some(entry.warning.level);
            alert.warned_until = in_force.then_some(entry.warning.expires);
            alert.version += 1;
            self.save_alert(alert);
        }
        let cap: Arc<str> = Arc::from(cap::render(&entry.warning));
        self.save_warning(&entry, &cap, draft);
        let warning = Arc::new(entry.warning.clone());
        for target in targets {
            self.queue_delivery((id, entry.chain, alert.id), target, (&warning, &cap));
        }
        self.warning_event(draft.kind, alert.id, id);
        let concerns = Concerns {
            alert: Some(alert.id),
            warning: Some(id),
            delivery: None,
        };
        self.act(draft.actor, draft.kind.word(), concerns, draft.wish);
        Ok(entry)
    }

    /// An automatic warning goes out whatever the checks say: the message is valid XML all the same.
    fn check_message(&self, warning: &Warning, draft: &Draft<'_>) -> Result<(), LedgerError> {
        let Err(problems) = cap::check(warning) else {
            return Ok(());
        };
        if draft.automatic {
            tracing::warn!(rule = %warning.cause.rule, ?problems, "an automatic warning has faults");
            return Ok(());
        }
        Err(LedgerError::Invalid(format!(
            "the warning cannot be issued: {}",
            problems.join("; ")
        )))
    }
}
