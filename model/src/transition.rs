//! What rules emit.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Level, Name, Position, Time};

/// What happened to the level of a rule at a subject.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TransitionKind {
    /// From no level to one.
    Raise,
    /// From one level to another.
    Change,
    /// From a level to none.
    Clear,
}

impl TransitionKind {
    /// `raise`, `change` or `clear`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            TransitionKind::Raise => "raise",
            TransitionKind::Change => "change",
            TransitionKind::Clear => "clear",
        }
    }
}

impl fmt::Display for TransitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A change of level of one rule at one subject. Ordered output: by time, position, rule, subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// The clock of the record that caused it, or the moment that passed before that record.
    pub time: Time,
    /// The record that caused it, or before which the moment passed.
    pub position: Position,
    /// What happened.
    pub kind: TransitionKind,
    /// The rule's id.
    pub rule: Name,
    /// The sensor that it is about.
    pub subject: Name,
    /// The new level; of a clear, the level that ended.
    pub level: Level,
    /// Newest value of the rule's measurement in the rule's unit; `None` if it never spoke.
    pub value: Option<f64>,
    /// Of a clear: no level was seen to end, but the rule no longer watches the subject, because the rule or the
    /// sensor was changed or removed. Whether the danger is over is not known.
    #[serde(default)]
    pub unwatched: bool,
}
