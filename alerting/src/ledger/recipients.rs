//! Who gets a message: whom the plan or the click names, and whoever has heard of the chain before.

use citywatch_model::{Level, Name, name};

use super::alert::Alert;
use super::issue::{Draft, IssueWarning};
use super::queue::Target;
use super::session::Session;
use crate::LedgerError;
use crate::channel::KINDS;
use crate::directory::Directory;
use crate::warning::{Warning, WarningKind};

impl Session {
    /// Everybody to whom the message goes, each endpoint once.
    pub(super) async fn recipients(
        &mut self,
        alert: &Alert,
        draft: &Draft<'_>,
        directory: &Directory,
        warning: &Warning,
    ) -> Result<Vec<Target>, LedgerError> {
        self.check_wish(draft.wish, directory)?;
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
        Ok(once(targets, directory))
    }

    /// Refuses what a click names that there is not: a mistake of writing must not keep a message from anybody.
    fn check_wish(&self, wish: &IssueWarning, directory: &Directory) -> Result<(), LedgerError> {
        if let Some(departments) = &wish.departments {
            known(departments, directory)?;
        }
        let Some(channels) = &wish.channels else {
            return Ok(());
        };
        // until the outbox runs nobody knows which are switched on
        let switched_on = self.shared.channel_notes.kinds_switched_on();
        let there_are = if switched_on.is_empty() {
            KINDS.join(", ")
        } else {
            switched_on.join(", ")
        };
        if channels.is_empty() {
            return Err(LedgerError::Invalid(format!(
                "`channels` is empty: choose from {there_are}, or leave it out"
            )));
        }
        for channel in channels {
            if !KINDS.contains(&channel.as_str()) {
                return Err(LedgerError::Invalid(format!(
                    "there is no channel `{channel}`: choose from {there_are}"
                )));
            }
            if !switched_on.is_empty() && !switched_on.contains(channel) {
                return Err(LedgerError::Invalid(format!(
                    "the channel `{channel}` is not switched on: choose from {there_are}, or configure it in citywatch.toml"
                )));
            }
        }
        Ok(())
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
                    &format!("plan `{}` tells nobody at level {level}", plan.id),
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
                &format!(
                    "no recipient of alert {} has a channel that may be used",
                    alert.id
                ),
            );
        }
        Ok(routes.iter().map(Target::from).collect())
    }

    /// A click that reaches nobody is refused; an update may still go to those who know, and an automatic warning
    /// to the feed.
    fn nobody(&self, draft: &Draft<'_>, why: &str) -> Result<Vec<Target>, LedgerError> {
        if draft.automatic || draft.chain.is_some() {
            tracing::warn!(%why, at = %self.now, "a plan has no recipient");
            return Ok(Vec::new());
        }
        Err(LedgerError::Invalid(format!(
            "{why}: name departments, or complete the plan"
        )))
    }
}

/// Each endpoint once, under its present name: that of a department may have been mended since it was told. Who is no
/// longer in the plans by his name hears of it only if nobody else does at his address.
fn once(targets: Vec<Target>, directory: &Directory) -> Vec<Target> {
    let known =
        |target: &Target| directory.knows(&target.recipient, &target.channel, &target.address);
    let (present, gone): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(known);
    let mut unique: Vec<Target> = Vec::with_capacity(present.len() + gone.len());
    for target in present {
        if !unique.iter().any(|other| other.is_for(&target)) {
            unique.push(target);
        }
    }
    for target in gone {
        if !unique.iter().any(|other| other.is_at(&target)) {
            unique.push(target);
        }
    }
    unique
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
    let all = || {
        let all: Vec<&str> = directory.departments.keys().map(|id| id.as_str()).collect();
        all.join(", ")
    };
    if departments.is_empty() {
        return Err(LedgerError::Invalid(format!(
            "`departments` is empty: choose from {}, or leave it out to follow the plan",
            all()
        )));
    }
    if let Some(id) = unknown {
        return Err(LedgerError::Invalid(format!(
            "there is no department `{id}`: choose from {}",
            all()
        )));
    }
    // every one is a name already, so nothing new is interned
    Ok(departments.iter().map(|id| name(id)).collect())
}
