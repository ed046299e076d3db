//! What people and departments need to know about a rule; how it decides is the engine's own affair.

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
}
