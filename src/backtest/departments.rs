//! Which departments would have been told what and when: this part of the report.

mod teller;

use citywatch_model::{Level, Name, Text, Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::report::{ByLevel, Day};

pub use teller::{Plans, Teller};

/// Whom the plans would have told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Departments {
    /// Messages to all departments.
    pub messages: u64,
    /// Every department of the file, in the order of the ids.
    pub departments: Vec<DepartmentTold>,
    /// The first 100 messages.
    pub first: Vec<Message>,
    /// Rises of alerts that no department would have heard of, by rule, level and reason.
    pub untold: Vec<Untold>,
}

/// What one department would have been told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DepartmentTold {
    /// The department.
    #[schema(value_type = String)]
    pub department: Name,
    /// For people.
    pub name: Text,
    /// Warnings and updates by level.
    pub warnings: ByLevel,
    /// How many of those go out without a click.
    pub automatic: u64,
    /// Messages that lift a warning.
    pub lifted: u64,
    /// Deliveries that all of it makes: one to each of the department's channels.
    pub deliveries: u64,
    /// The first message; absent if there was none.
    pub first_at: Option<Time>,
    /// The last message.
    pub last_at: Option<Time>,
    /// The first of the local days with the most messages.
    pub busiest_day: Option<Day>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// The first of its alert, or the first since the last one was lifted or lapsed.
    Issued,
    /// The alert became worse.
    Updated,
    /// The condition ended.
    Lifted,
}

impl MessageKind {
    /// `issued`, `updated` or `lifted`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            MessageKind::Issued => "issued",
            MessageKind::Updated => "updated",
            MessageKind::Lifted => "lifted",
        }
    }
}

/// One message to one department.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// When it would have gone out.
    pub at: Time,
    /// To whom.
    #[schema(value_type = String)]
    pub department: Name,
    /// What it says.
    pub kind: MessageKind,
    /// At which level; of a lift, the level that was in force.
    pub level: Level,
    /// The rule behind it.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The sensor that it is about.
    #[schema(value_type = String)]
    pub subject: Name,
    /// Without a click.
    pub automatic: bool,
}

/// Rises of alerts that nobody would have heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Untold {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The level.
    pub level: Level,
    /// How often.
    pub times: u64,
    /// Why, and what to do.
    pub reason: String,
}
