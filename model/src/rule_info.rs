//! What people and departments need to know about a rule; how it decides is the engine's own affair.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, Text};

/// The part of a rule that alerts and warnings quote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// Unique, such as `flood.underpass-depth`.
    pub id: Name,
    /// For people; the id if the rule gives none.
    pub name: Text,
    /// A label such as `flood`; empty if the rule gives none.
    pub hazard: Name,
    /// The measurement whose value transitions carry.
    pub measurement: Name,
    /// The unit of that value; empty if values are taken as they come.
    pub unit: Name,
    /// What to do.
    pub advice: Text,
    /// Standard, order or practice that the rule follows.
    pub source: String,
    /// The plan that says who is told; else the plan of the hazard.
    pub plan: Option<Name>,
    /// Whether its transitions become alerts; what an older version wrote down is live.
    #[serde(default)]
    pub mode: Mode,
}

/// How much a rule may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Its transitions become alerts.
    #[default]
    Live,
    /// It is evaluated, and its transitions are only looked at.
    Shadow,
    /// It is read and checked, and never evaluated.
    Off,
}

impl Mode {
    /// All modes, in the order in which a rule usually leaves service.
    pub const ALL: [Mode; 3] = [Mode::Live, Mode::Shadow, Mode::Off];

    /// The word used in rules: `live`, `shadow`, `off`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
            Mode::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
