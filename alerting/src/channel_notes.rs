//! How each channel has fared since the service started: its newest success and its newest failure. In memory only;
//! what became of each delivery stands in the ledger.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use citywatch_model::Time;
use serde::Serialize;

/// An attempt, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Noted {
    /// When it started, on the wall clock.
    pub at: Time,
    /// What the channel said.
    pub detail: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub switched_on: bool,
    pub success: Option<Noted>,
    pub failure: Option<Noted>,
}

#[derive(Debug, Default)]
pub(crate) struct ChannelNotes(Mutex<BTreeMap<String, Note>>);

impl ChannelNotes {
    fn notes(&self) -> MutexGuard<'_, BTreeMap<String, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outbox serves these.
    pub fn switched_on<'a>(&self, kinds: impl Iterator<Item = &'a str>) {
        let mut notes = self.notes();
        for kind in kinds {
            notes.entry(kind.to_owned()).or_default().switched_on = true;
        }
    }

    /// The kinds that the outbox serves; empty as long as there is none.
    pub fn kinds_switched_on(&self) -> Vec<String> {
        let notes = self.notes();
        let on = notes.iter().filter(|(_, note)| note.switched_on);
        on.map(|(kind, _)| kind.clone()).collect()
    }

    pub fn attempted(&self, kind: &str, worked: bool, at: Time, detail: &str) {
        let noted = Some(Noted {
            at,
            detail: detail.to_owned(),
        });
        let mut notes = self.notes();
        let note = notes.entry(kind.to_owned()).or_default();
        if worked {
            note.success = noted;
        } else {
            note.failure = noted;
        }
    }

    pub fn of(&self, kind: &str) -> Note {
        self.notes().get(kind).cloned().unwrap_or_default()
    }
}
