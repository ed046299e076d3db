//! The warning: one message that an operator or a plan issues on an alert. It is a value, complete in itself:
//! the CAP message, the feed and every channel are views of it, made without asking anybody else.
//! Nothing here reads a clock, the ledger or the network.

use citywatch_model::{Level, Name, Text, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::cap;

/// Whether a warning is meant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To be acted upon by all recipients.
    #[default]
    Actual,
    /// A drill; only those who take part act.
    Exercise,
    /// A test of the technical road; nobody acts.
    Test,
    /// Not yet for anybody.
    Draft,
}

/// What a warning does to the warnings before it on the same alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WarningKind {
    /// 发布: the first one.
    Issued,
    /// 更新: replaces the text, the level or the area.
    Updated,
    /// 解除: the danger is over.
    Lifted,
    /// 更正: the text was wrong, the danger stands.
    Corrected,
    /// 撤销: false alarm, there was no danger.
    Withdrawn,
}

/// Who may be shown a warning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The departments concerned. Only an accredited body may address the public.
    #[default]
    Restricted,
    /// Everybody.
    Public,
}

/// An earlier warning that a later one updates or cancels, in the words that the earlier CAP message used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reference {
    /// Sender of the earlier message.
    pub sender: String,
    /// Identifier of the earlier message.
    pub identifier: String,
    /// `sent` of the earlier message as it was written there: consumers compare the letters.
    pub sent: String,
}

/// A code from a named list, such as an event code or an area code (GB/T 2260).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Code {
    /// The list's name.
    pub name: String,
    /// The code.
    pub value: String,
}

/// A figure on the map, WGS 84, latitude before longitude, degrees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A ring; closed by its writer if the last point is not the first.
    Polygon(Vec<(f64, f64)>),
    /// All points around a place.
    Circle {
        /// The place.
        center: (f64, f64),
        /// In kilometres.
        radius_km: f64,
    },
}

/// Where a warning holds: the union of its shapes and codes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Area {
    /// In words.
    pub name: Text,
    /// On the map.
    #[serde(default)]
    pub shapes: Vec<Shape>,
    /// In codes.
    #[serde(default)]
    pub geocodes: Vec<Code>,
}

/// What was measured and by which rule it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cause {
    /// The alert that the warning is issued on.
    pub alert_id: String,
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Standard, order or practice that the rule follows; may be empty.
    #[serde(default)]
    pub rule_source: String,
    /// The sensor that the alert is about.
    #[schema(value_type = String)]
    pub sensor: Name,
    /// The measurement that the rule looks at.
    #[schema(value_type = String)]
    pub measurement: Name,
    /// Newest value in `unit`; `None` if the sensor never spoke.
    pub value: Option<f64>,
    /// Unit of the value; may be empty.
    #[schema(value_type = String)]
    pub unit: Name,
}

/// One warning with everything that any channel says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Warning {
    /// Unique for the sender; no space, comma, `<` or `&`.
    pub identifier: String,
    /// Who sends it, such as `citywatch@example.gov.cn`; the same rule of letters.
    pub sender: String,
    /// The sender's name for people; may be empty.
    pub sender_name: Text,
    /// When it was issued.
    pub sent: Time,
    /// Zone of the times that people read.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schema(value_type = String)]
    pub timezone: TimeZone,
    /// Whether it is meant.
    pub status: Status,
    /// The drill that an exercise belongs to.
    #[serde(default)]
    pub exercise: Option<String>,
    /// What it does to earlier warnings.
    pub kind: WarningKind,
    /// Who may be shown it.
    #[serde(default)]
    pub scope: Scope,
    /// Why it was corrected, lifted or withdrawn, in the operator's words.
    #[serde(default)]
    pub note: Option<String>,
    /// All unexpired earlier messages on the same alert; empty only for the first.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// The hazard; may be empty.
    #[schema(value_type = String)]
    pub hazard: Name,
    /// What is happening, such as 下穿通道积水. If empty the hazard's own words stand for it.
    pub event: Text,
    /// Codes of the event, if the rule or the hazard gives any.
    #[serde(default)]
    pub event_codes: Vec<Code>,
    /// The level; of a lifted or withdrawn warning the level that ended.
    pub level: Level,
    /// One line.
    pub headline: Text,
    /// What happened, where, since when.
    pub description: Text,
    /// What to do; may be empty.
    pub instruction: Text,
    /// Since when it holds, if known.
    #[serde(default)]
    pub onset: Option<Time>,
    /// When it stops to hold by itself.
    pub expires: Time,
    /// Where it holds.
    pub area: Area,
    /// What was measured.
    pub cause: Cause,
    /// Address of the CAP message, if the service has a public one.
    #[serde(default)]
    pub cap_url: Option<String>,
    /// Whom to ask; may be empty.
    #[serde(default)]
    pub contact: String,
}

impl Status {
    /// The CAP word.
    #[must_use]
    pub const fn cap(self) -> &'static str {
        match self {
            Status::Actual => "Actual",
            Status::Exercise => "Exercise",
            Status::Test => "Test",
            Status::Draft => "Draft",
        }
    }
}

impl WarningKind {
    /// `issued`, `updated`, `lifted`, `corrected` or `withdrawn`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WarningKind::Issued => "issued",
            WarningKind::Updated => "updated",
            WarningKind::Lifted => "lifted",
            WarningKind::Corrected => "corrected",
            WarningKind::Withdrawn => "withdrawn",
        }
    }

    /// The CAP message type. A lifted warning is an `Update` that says all clear, so that `Cancel` keeps one
    /// meaning: there was no danger.
    #[must_use]
    pub const fn cap(self) -> &'static str {
        match self {
            WarningKind::Issued => "Alert",
            WarningKind::Updated | WarningKind::Corrected | WarningKind::Lifted => "Update",
            WarningKind::Withdrawn => "Cancel",
        }
    }

    /// Whether the danger has ended, or never was.
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(self, WarningKind::Lifted | WarningKind::Withdrawn)
    }
}

impl Warning {
    /// How later warnings refer to this one.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference {
            sender: self.sender.clone(),
            identifier: self.identifier.clone(),
            sent: cap::time(self.sent, &self.timezone),
        }
    }
}
