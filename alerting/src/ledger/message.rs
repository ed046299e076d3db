//! The message of a warning: what the alert, the wish, the plan and the chain say together. It writes nothing.

use citywatch_model::{Level, Text};

use super::alert::Alert;
use super::issue::Draft;
use super::session::Session;
use crate::compose;
use crate::directory::Plan;
use crate::warning::{Cause, Warning, WarningKind};

impl Session {
    /// The message of `draft` about `alert`, in force as long as the wish, the plan or the settings say.
    pub(super) fn compose(&self, alert: &Alert, draft: &Draft<'_>, plan: Option<&Plan>) -> Warning {
        let settings = &self.shared.settings;
        let (kind, wish, zones) = (draft.kind, draft.wish, self.shared.zones());
        let head = draft.chain.and_then(|chain| chain.earlier.last());
        let level = level(alert, draft, head);
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
}

/// The level that people are warned of; lifting and withdrawing name the one that was in force.
fn level(alert: &Alert, draft: &Draft<'_>, head: Option<&Warning>) -> Level {
    match (draft.kind, head) {
        (WarningKind::Issued | WarningKind::Updated, _) | (_, None) => {
            draft.wish.level.unwrap_or(alert.level)
        }
        (WarningKind::Corrected, Some(head)) => draft.wish.level.unwrap_or(head.level),
        (WarningKind::Lifted | WarningKind::Withdrawn, Some(head)) => head.level,
    }
}

fn chosen(wish: &Option<Text>, old: Option<&Text>, composed: Text) -> Text {
    wish.clone().or_else(|| old.cloned()).unwrap_or(composed)
}
