//! A version of what is in force: rules, sensors, zones and plans together, and who put them there and why. Texts are
//! named by their SHA-256 and kept apart, so that a version is small and a text is kept once. What the texts say is
//! not the ledger's affair.

use std::collections::BTreeMap;
use std::fmt::Write;

use citywatch_model::{Mode, Name, Position, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use utoipa::ToSchema;

use crate::LedgerError;

/// What a file of a bundle holds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The registry of sensors.
    Sensors,
    /// The zones.
    Zones,
    /// Departments and plans.
    Plans,
    /// Rules.
    Rules,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartText {
    /// What it holds.
    pub part: Part,
    /// Its name in the bundle, such as `rules/gas.yaml`.
    pub file: String,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// A mode that stands above what a rule's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleMode {
    /// `live`, `shadow` or `off`.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Until when; absent: until somebody changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What holds after that; absent: what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub back: Option<Mode>,
    /// Why, in the words of who did it.
    pub reason: String,
}

/// The version of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleVersion {
    /// From 1; rises when the rule's own text, a derived series that it reads or its mode changes, and goes on if a removed rule comes back.
    pub version: i64,
    /// SHA-256 of its own text; absent: it was removed.
    pub sha256: Option<String>,
    /// SHA-256 of the derived series that it reads; absent: it reads none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_sha256: Option<String>,
    /// `live`, `shadow` or `off`, by its file or by what stands above it.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// The version of the bundle that brought it.
    pub since: i64,
}

/// What a version consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Contents {
    /// Its files.
    pub parts: Vec<PartText>,
    /// Modes that stand above the files, by rule.
    #[schema(value_type = BTreeMap<String, RuleMode>)]
    pub modes: BTreeMap<Name, RuleMode>,
    /// The version of each rule, also of those that were removed.
    #[schema(value_type = BTreeMap<String, RuleVersion>)]
    pub rules: BTreeMap<Name, RuleVersion>,
}

/// A version with who, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// From 1.
    pub id: i64,
    /// On the service's clock.
    pub at: Time,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// From where.
    pub from: String,
    /// Why.
    pub reason: String,
    /// The journal's position from which it holds; absent until the journal has it.
    pub position: Option<Position>,
    /// What it consists of.
    pub contents: Contents,
}

impl Version {
    pub(super) fn from_row(row: &SqliteRow) -> Result<Version, LedgerError> {
        let read = || LedgerError::storage("read a version");
        let body: String = row.try_get("body").map_err(read())?;
        let contents = serde_json::from_str(&body).map_err(LedgerError::corrupt("version"))?;
        let head = || -> Result<Version, sqlx::Error> {
            let position: Option<i64> = row.try_get("position")?;
            Ok(Version {
                id: row.try_get("id")?,
                at: Time::from_millis(row.try_get("at")?),
                actor: row.try_get("actor")?,
                role: row.try_get("role")?,
                from: row.try_get("origin")?,
                reason: row.try_get("reason")?,
                position: position.map(i64::unsigned_abs),
                contents,
            })
        };
        head().map_err(read())
    }
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all that is written");
        hex
    })
}
