//! A warning goes out: by one click, or because a plan is automatic. Text, CAP message and deliveries are written
//! in one transaction; the outbox hears of them after the commit.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name, Text, name};
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::followup::Chain;
use super::key::fingerprint;
use super::queue::Target;
use super::session::{Concerns, Session};
use super::warnings::{WarningEntry, WarningState};
use super::{Actor, Call, Ledger};
use crate::directory::{Directory, Plan};
use crate::warning::{Cause, Status, Warning, WarningKind};
use crate::{LedgerError, cap, compose};

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
        if let Some(answer) = session.first_answer(call, &asked).await? {
            return Ok(answer);
        }
        let mut alert = Alert::load(session.connection(), alert).await?;
        call.check_version(&alert)?;
        if !alert.is_open() {
            return Err(LedgerError::Conflict(format!(
                "alert {} is closed: no warning can be issued on it",
                alert.id
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
        session.keep_answer(call, &asked, &entry).await?;
        session.commit().await?;
        Ok(entry)
    }
}

impl Session {
    /// What an automatic plan does when the condition begins or worsens: a warning, or an update of the one in
    /// force if that says less.
    pub(super) async fn warn_by_plan(&mut self, alert: &mut Alert) -> Result<(), LedgerError> {
        let directory = self.shared.directory();
        let plan = directory.plan_for(alert.plan, alert.hazard);
        if !plan
            .and_then(|plan| plan.levels.get(&alert.level))
            .is_some_and(|level| level.automatic)
        {
            return Ok(());
        }
        let chain = self.chain_in_force(alert).await?;
        if chain.is_some() && alert.warned >= Some(alert.level) {
            return Ok(());
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
        Ok(())
    }

    /// Writes the message, its recipients, the alert that it belongs to, event and act.
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
            state: if draft.kind.ends() {
                WarningState::Final
            } else {
                WarningState::InForce
            },
            automatic: draft.automatic,
            issued_by: draft.actor.name.clone(),
            warning,
        };
        self.save_warning(&entry, draft).await?;
        let message = (
            &Arc::new(entry.warning.clone()),
            &Arc::from(cap::render(&entry.warning)),
        );
        for target in targets {
            self.queue_delivery((id, entry.chain, alert.id), target, message)
                .await?;
        }
        if entry.warning.status == Status::Actual {
            let in_force = !draft.kind.ends();
            alert.warning = in_force.then_some(id);
            alert.warned = in_force.then_some(entry.warning.level);
            alert.version += 1;
            self.save_alert(alert).await?;
        }
        self.event(&format!("warning.{}", draft.kind.word()), &entry)
            .await?;
        let concerns = Concerns {
            alert: Some(alert.id),
            warning: Some(id),
            delivery: None,
        };
        self.act(draft.actor, draft.kind.word(), concerns, draft.wish)
            .await?;
        Ok(entry)
    }

    fn compose(&self, alert: &Alert, draft: &Draft<'_>, plan: Option<&Plan>) -> Warning {
        let settings = &self.shared.settings;
        let (kind, wish, zones) = (draft.kind, draft.wish, self.shared.zones());
        let head = draft.chain.and_then(|chain| chain.earlier.last());
        let level = match (kind, head) {
            (WarningKind::Issued | WarningKind::Updated, _) | (_, None) => {
                wish.level.unwrap_or(alert.level)
            }
            (WarningKind::Corrected, Some(head)) => wish.level.unwrap_or(head.level),
            (WarningKind::Lifted | WarningKind::Withdrawn, Some(head)) => head.level,
        };
        let status = head.map_or(wish.status, |head| head.status);
        let words = compose::words(alert, kind, level, &zones, &settings.timezone);
        let old = head.filter(|_| kind == WarningKind::Corrected);
        let composed = compose::marked(words.headline, status);
        let expires = wish
            .expires
            .or_else(|| plan.and_then(|plan| plan.expires))
            .unwrap_or(settings.expires);
        let identifier = self.identifier();
        Warning {
            cap_url: settings
                .public_url
                .as_ref()
                .map(|url| format!("{url}/cap/{identifier}.xml")),
            identifier,
            sender: settings.sender.clone(),
            sender_name: settings.sender_name.clone(),
            sent: self.now,
            timezone: settings.timezone.clone(),
            status,
            exercise: wish
                .exercise
                .clone()
                .or_else(|| head.and_then(|head| head.exercise.clone())),
            kind,
            scope: settings.scope,
            note: wish.note.clone(),
            references: draft
                .chain
                .map(|chain| chain.earlier.iter().map(Warning::reference).collect())
                .unwrap_or_default(),
            hazard: alert.hazard,
            event: alert.title.clone(),
            event_codes: Vec::new(),
            level,
            headline: wish
                .headline
                .clone()
                .or_else(|| old.map(|old| old.headline.clone()))
                .unwrap_or(composed),
            description: chosen(
                &wish.description,
                old.map(|old| &old.description),
                words.description,
            ),
            instruction: chosen(
                &wish.instruction,
                old.map(|old| &old.instruction),
                words.instruction,
            ),
            onset: Some(alert.active_since),
            expires: self.now + expires,
            area: compose::area(alert, &zones, settings.radius_km),
            cause: Cause {
                alert_id: alert.id.to_string(),
                rule: alert.rule,
                rule_source: alert.source.clone(),
                sensor: alert.subject,
                measurement: alert.measurement,
                value: alert.value,
                unit: alert.unit,
            },
            contact: settings.contact.clone(),
        }
    }

    /// Unique for ever, also if the ledger begins anew: time of day for people, random digits for the rest.
    fn identifier(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.now.millis()).unwrap_or_default();
        let local = at.to_zoned(self.shared.settings.timezone.clone());
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("CW-{}-{}", local.strftime("%Y%m%d%H%M%S"), &random[..12])
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

    async fn recipients(
        &mut self,
        alert: &Alert,
        draft: &Draft<'_>,
        directory: &Directory,
        warning: &Warning,
    ) -> Result<Vec<Target>, LedgerError> {
        let mut targets = match draft.kind {
            WarningKind::Issued | WarningKind::Updated => {
                self.planned(alert, draft, directory, warning.level)?
            }
            WarningKind::Lifted | WarningKind::Corrected | WarningKind::Withdrawn => Vec::new(),
        };
        if let Some(chain) = draft.chain {
            // whoever has heard of the chain hears how it goes on
            let told = match draft.kind {
                WarningKind::Withdrawn => self.cancel_unsent(chain).await?,
                WarningKind::Issued
                | WarningKind::Updated
                | WarningKind::Lifted
                | WarningKind::Corrected => self.told(chain).await?,
            };
            targets.extend(told);
        }
        let mut unique: Vec<Target> = Vec::with_capacity(targets.len());
        for target in targets {
            if !unique.contains(&target) {
                unique.push(target);
            }
        }
        Ok(unique)
    }

    /// Whom the plan, or the click instead of it, names at `level`.
    fn planned(
        &self,
        alert: &Alert,
        draft: &Draft<'_>,
        directory: &Directory,
        level: Level,
    ) -> Result<Vec<Target>, LedgerError> {
        let wish = draft.wish;
        let channels = wish.channels.as_deref();
        let routes = if let Some(departments) = &wish.departments {
            directory.routes(&known(departments, directory)?, channels, &[])
        } else {
            let plan = directory
                .plan_for(alert.plan, alert.hazard)
                .ok_or_else(|| no_plan(alert))?;
            let Some(level_plan) = plan.levels.get(&level) else {
                return self.nobody(
                    draft,
                    format!("plan `{}` tells nobody at level {level}", plan.id),
                );
            };
            let zones: Vec<Name> = alert
                .zone
                .map(|zone| self.shared.zones().around(zone).collect())
                .unwrap_or_default();
            directory.routes(
                &level_plan.tell,
                channels.or(level_plan.channels.as_deref()),
                &zones,
            )
        };
        if routes.is_empty() {
            return self.nobody(
                draft,
                format!(
                    "no recipient of alert {} has a channel that may be used",
                    alert.id
                ),
            );
        }
        Ok(routes.iter().map(Target::from).collect())
    }

    /// A click that reaches nobody is refused; an update may still go to those who know, and an automatic warning
    /// to the feed.
    fn nobody(&self, draft: &Draft<'_>, why: String) -> Result<Vec<Target>, LedgerError> {
        if draft.automatic || draft.chain.is_some() {
            tracing::warn!(%why, at = %self.now, "a plan has no recipient");
            return Ok(Vec::new());
        }
        Err(LedgerError::Invalid(format!(
            "{why}: name departments, or complete the plan"
        )))
    }
}

fn chosen(wish: &Option<Text>, old: Option<&Text>, composed: Text) -> Text {
    wish.clone().or_else(|| old.cloned()).unwrap_or(composed)
}

fn no_plan(alert: &Alert) -> LedgerError {
    let hazard = if alert.hazard.is_empty() {
        "none"
    } else {
        alert.hazard.as_str()
    };
    LedgerError::Invalid(format!(
        "no plan for alert {} (hazard {hazard}) and no plan `default`: add one, or name departments",
        alert.id
    ))
}

fn known(departments: &[String], directory: &Directory) -> Result<Vec<Name>, LedgerError> {
    let unknown = departments.iter().find(|id| {
        !directory
            .departments
            .keys()
            .any(|known| known == id.as_str())
    });
    if let Some(id) = unknown {
        let all: Vec<&str> = directory.departments.keys().map(|id| id.as_str()).collect();
        return Err(LedgerError::Invalid(format!(
            "there is no department `{id}`: choose from {}",
            all.join(", ")
        )));
    }
    // every one is a name already, so nothing new is interned
    Ok(departments.iter().map(|id| name(id)).collect())
}
