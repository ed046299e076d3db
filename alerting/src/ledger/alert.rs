//! The alert as people handle it, and how the ledger keeps it. How transitions move it is `book`'s affair.

use citywatch_model::{Level, Name, Text, Time};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::statement::{Statement, statement};
use crate::LedgerError;

/// Whether what raised the alert still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// The rule still sees a level.
    Active = 0,
    /// 恢复正常: the rule sees no level any more.
    Recovered = 1,
    /// 无人监视: the rule or the sensor was changed or removed, so nobody knows whether the level still holds.
    Unwatched = 2,
}

/// How far people are with the alert. Never moves backwards.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// Nobody has taken it.
    New = 0,
    /// 接警: somebody has seen it.
    Acknowledged = 1,
    /// 研判: somebody has judged whether it is true.
    Verified = 2,
    /// 派单: somebody was sent.
    Assigned = 3,
    /// 办结: done; a new breach makes a new alert.
    Closed = 4,
}

/// What the analyst found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The danger is real.
    True,
    /// A false alarm.
    False,
    /// Not known yet.
    Unclear,
}

/// One alert: one rule at one subject, from its first breach until somebody closes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alert {
    /// Its number: short, so that people can say it on the telephone.
    pub id: i64,
    /// Grows with every change; who acts names the version that he saw.
    pub version: i64,
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The sensor.
    #[schema(value_type = String)]
    pub subject: Name,
    /// Label of the rule such as `flood`; may be empty.
    #[schema(value_type = String)]
    pub hazard: Name,
    /// Present level; after recovery the level that ended, and when nobody watches any more the last that was seen.
    pub level: Level,
    /// Worst level so far.
    pub worst: Level,
    /// Value at the newest transition, in `unit`.
    pub value: Option<f64>,
    /// The version of the rule that raised it; 0 if that is not known.
    #[serde(default)]
    pub rule_version: i64,
    /// A rule in shadow raised it: it is recorded, needs nobody and warns nobody.
    #[serde(default)]
    pub shadow: bool,
    /// Whether the condition holds.
    pub condition: Condition,
    /// How far people are.
    pub handling: Handling,
    /// New, worse than what was acknowledged, or no longer watched: somebody must look.
    pub needs_attention: bool,
    /// First breach, on the service's clock.
    pub raised_at: Time,
    /// Beginning of the present or last spell.
    pub active_since: Time,
    /// When the first breach was written down, on the wall clock.
    pub recorded_at: Time,
    /// Newest transition.
    pub changed_at: Time,
    /// When the condition ended.
    pub cleared_at: Option<Time>,
    /// When somebody closed it.
    pub closed_at: Option<Time>,
    /// How often the condition began.
    pub spells: u32,
    /// The worst level that somebody has acknowledged.
    pub acknowledged_level: Option<Level>,
    /// Who acknowledged it last.
    pub acknowledged_by: Option<String>,
    /// What the analyst found.
    pub verdict: Option<Verdict>,
    /// Who was sent.
    pub assignee: Option<String>,
    /// Latest note of a person.
    pub note: String,
    /// Number of the Actual warning in force, if there is one.
    pub warning: Option<i64>,
    /// Its level.
    pub warned: Option<Level>,
    /// When it lapses.
    #[serde(default)]
    pub warned_until: Option<Time>,
    /// Name of the rule.
    pub title: Text,
    /// Name of the sensor; may be empty.
    pub subject_name: String,
    /// The sensor's WGS 84 latitude and longitude.
    #[schema(value_type = Option<Vec<f64>>)]
    pub place: Option<(f64, f64)>,
    /// The innermost zone of the sensor.
    #[schema(value_type = Option<String>)]
    pub zone: Option<Name>,
    /// What the value measures.
    #[schema(value_type = String)]
    pub measurement: Name,
    /// Unit of the value; may be empty.
    #[schema(value_type = String)]
    pub unit: Name,
    /// What to do.
    pub advice: Text,
    /// Standard or practice that the rule follows.
    pub source: String,
    /// The plan that the rule names.
    #[schema(value_type = Option<String>)]
    pub plan: Option<Name>,
}

impl Alert {
    /// Whether people still have to do with it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.handling < Handling::Closed
    }

    /// Whether its warning has lapsed, as far as the alert itself says.
    pub(super) fn has_lapsed(&self, now: Time) -> bool {
        self.warning.is_some() && self.warned_until.is_none_or(|until| until <= now)
    }

    /// Without a warning that has lapsed: between two looks of the timer, and once the alert is closed, it still
    /// stands in the row.
    pub(super) fn shown(mut self, now: Time) -> Alert {
        if self.warned_until.is_some() && self.has_lapsed(now) {
            self.forget_warning();
        }
        self
    }

    pub(super) fn forget_warning(&mut self) {
        self.warning = None;
        self.warned = None;
        self.warned_until = None;
    }

    /// Whether the engine may still say something about it.
    pub(crate) fn is_live(&self) -> bool {
        self.is_open() || self.condition == Condition::Active
    }

    pub(crate) fn from_row(row: &SqliteRow) -> Result<Alert, LedgerError> {
        let body: String = row
            .try_get("body")
            .map_err(LedgerError::storage("read an alert"))?;
        serde_json::from_str(&body).map_err(LedgerError::corrupt("alert"))
    }

    /// The alert of that number, inside the writer's transaction or outside.
    pub(crate) async fn load(
        connection: &mut SqliteConnection,
        id: i64,
    ) -> Result<Alert, LedgerError> {
        let row = sqlx::query("SELECT body FROM alerts WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await
            .map_err(LedgerError::storage("read an alert"))?;
        row.as_ref()
            .map(Alert::from_row)
            .transpose()?
            .ok_or_else(|| LedgerError::missing("alert", id))
    }

    /// Writes it, new or changed.
    pub(super) fn save(&self) -> Statement {
        statement(
            "INSERT INTO alerts (id, rule, subject, hazard, zone, level, condition, handling, attention, \
             active_since, version, body, shadow) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (id) DO UPDATE SET hazard = excluded.hazard, zone = excluded.zone, \
             level = excluded.level, condition = excluded.condition, handling = excluded.handling, attention = excluded.attention, \
             active_since = excluded.active_since, version = excluded.version, body = excluded.body, \
             shadow = excluded.shadow",
        )
        .bind(self.id)
        .bind(self.rule.as_str())
        .bind(self.subject.as_str())
        .bind(self.hazard.as_str())
        .bind(self.zone.map_or("", |zone| zone.as_str()))
        .bind(i16::from(self.level.rank()))
        .bind(self.condition as i16)
        .bind(self.handling as i16)
        .bind(i16::from(self.needs_attention))
        .bind(self.active_since.millis())
        .bind(self.version)
        .bind(to_json(self))
        .bind(i16::from(self.shadow))
    }
}

/// JSON of a record of our own: plain structs with string keys and finite numbers.
pub(crate) fn to_json<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).expect("records have string keys, so they always serialise")
}
