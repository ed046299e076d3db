//! What is different between two bundles, for people: files line by line, sensors by what changed, rules by what
//! became of them. Compares values; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use citywatch_alerting::ledger::{Contents, Part};
use citywatch_model::{Name, Registry, Sensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::TextDiff;
use utoipa::ToSchema;

use crate::bundle::{Bundle, BundleFile};

/// Sensors that are named one by one; further ones are only counted.
const NAMED: usize = 20;

/// What became of something
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// It is new
    Added,
    /// It is another
    Changed,
    /// It is gone
    Removed,
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Became::Added => "added",
            Became::Changed => "changed",
            Became::Removed => "removed",
        })
    }
}

/// A file that differs
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileDifference {
    /// What it holds
    pub part: Part,
    /// Its name in the bundle
    pub file: String,
    /// What became of it
    pub became: Became,
    /// Line by line in the unified form; empty for sensors, and for plans where the caller may not see addresses
    pub lines: String,
}

/// Sensors that differ
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SensorDifference {
    /// How many are new
    pub added: usize,
    /// How many are others
    pub changed: usize,
    /// How many are gone
    pub removed: usize,
    /// The first of them, each with what changed
    pub first: Vec<String>,
}

/// A rule that differs, by its text or its mode
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleDifference {
    /// The rule
    pub rule: String,
    /// What became of it
    pub became: Became,
    /// Its version from now on
    pub version: i64,
    /// Its mode from now on
    pub mode: String,
    /// Its mode before, where it was another
    pub was: Option<String>,
}

/// What is different between what is in force and what is wanted
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Files
    pub files: Vec<FileDifference>,
    /// Sensors
    pub sensors: SensorDifference,
    /// Rules
    pub rules: Vec<RuleDifference>,
    /// Modes that stay, with another time or reason
    pub modes: Vec<String>,
}

impl Difference {
    /// Between `old` and `new`; a missing old one is empty.
    pub fn between(old: Option<(&Bundle, &Contents)>, new: (&Bundle, &Contents)) -> Difference {
        let (nothing, empty) = (Bundle::default(), Contents::default());
        let old = old.unwrap_or((&nothing, &empty));
        Difference {
            files: files(&old.0.files, &new.0.files),
            sensors: sensors(&old.0.registry, &new.0.registry),
            rules: rules(old.1, new.1),
            modes: modes(old.1, new.1),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    /// How many rules are gone.
    pub fn rules_removed(&self) -> usize {
        self.rules_that(Became::Removed).count()
    }

    fn rules_that(&self, became: Became) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter();
        let rules = rules.filter(move |rule| rule.became == became);
        rules.map(|rule| rule.rule.as_str())
    }

    /// Without the lines of plans, which hold addresses and secrets.
    pub fn without_secrets(mut self) -> Difference {
        for file in &mut self.files {
            if file.part == Part::Plans {
                file.lines.clear();
            }
        }
        self
    }

    /// The same in a few numbers, for the audit.
    pub fn numbers(&self) -> Value {
        let named = |became: Became| -> Vec<&str> { self.rules_that(became).collect() };
        let files: Vec<&str> = self.files.iter().map(|file| file.file.as_str()).collect();
        serde_json::json!({
            "files": files,
            "rules_added": named(Became::Added), "rules_changed": named(Became::Changed),
            "rules_removed": named(Became::Removed),
            "sensors_added": self.sensors.added, "sensors_changed": self.sensors.changed,
            "sensors_removed": self.sensors.removed,
        })
    }
}

/// Two texts line by line in the unified form.
pub fn unified(file: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("in force/{file}"), &format!("new/{file}"))
        .to_string()
}

fn files(old: &[BundleFile], new: &[BundleFile]) -> Vec<FileDifference> {
    let by_name = |files| -> BTreeMap<(Part, String), String> {
        let files: &[BundleFile] = files;
        let entries = files.iter();
        entries
            .map(|file| ((file.part, file.name.clone()), file.text.clone()))
            .collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut differences = Vec::new();
    for key in names {
        let (before, after) = (old.get(key), new.get(key));
        let became = match (before, after) {
            (None, _) => Became::Added,
            (_, None) => Became::Removed,
            (before, after) if before == after => continue,
            _ => Became::Changed,
        };
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        differences.push(FileDifference {
            part: key.0,
            file: key.1.clone(),
            became,
            lines: if key.0 == Part::Sensors {
                String::new()
            } else {
                unified(&key.1, &text(before), &text(after))
            },
        });
    }
    differences
}

fn sensors(old: &Registry, new: &Registry) -> SensorDifference {
    let mut difference = SensorDifference::default();
    let ids: BTreeSet<&Name> = old.sensors.keys().chain(new.sensors.keys()).collect();
    for id in ids {
        let told = match (old.sensors.get(id), new.sensors.get(id)) {
            (None, _) => {
                difference.added += 1;
                format!("added {id}")
            }
            (_, None) => {
                difference.removed += 1;
                format!("removed {id}")
            }
            (Some(before), Some(after)) if before == after => continue,
            (Some(before), Some(after)) => {
                difference.changed += 1;
                format!("changed {id}: {}", fields(before, after))
            }
        };
        if difference.first.len() < NAMED {
            difference.first.push(told);
        }
    }
    difference
}

fn fields(before: &Sensor, after: &Sensor) -> String {
    let keys = |sensor: &Sensor| match serde_json::to_value(sensor) {
        Ok(Value::Object(keys)) => keys,
        // a sensor is a struct of plain values; were it not, only the words would be missing
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    let (before, after) = (keys(before), keys(after));
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    changed
        .map(|(key, value)| {
            format!(
                "{key} {} -> {value}",
                before.get(key).unwrap_or(&Value::Null)
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn rules(old: &Contents, new: &Contents) -> Vec<RuleDifference> {
    let mut differences = Vec::new();
    for (id, rule) in &new.rules {
        let before = old.rules.get(id);
        let there = before.filter(|before| before.sha256.is_some());
        let became = match (there, &rule.sha256) {
            (None, Some(_)) => Became::Added,
            (Some(_), None) => Became::Removed,
            (None, None) => continue,
            (Some(before), Some(_)) if before.version == rule.version => continue,
            (Some(_), Some(_)) => Became::Changed,
        };
        let was = there
            .map(|before| before.mode)
            .filter(|was| *was != rule.mode);
        differences.push(RuleDifference {
            rule: id.to_string(),
            became,
            version: rule.version,
            mode: rule.mode.to_string(),
            was: was.map(|mode| mode.to_string()),
        });
    }
    differences
}

fn modes(old: &Contents, new: &Contents) -> Vec<String> {
    let ids: BTreeSet<&Name> = old.modes.keys().chain(new.modes.keys()).collect();
    let same_version = |id: &Name| {
        let version = |contents: &Contents| contents.rules.get(id).map(|rule| rule.version);
        version(old) == version(new)
    };
    let differ = |id: &&Name| old.modes.get(*id) != new.modes.get(*id) && same_version(id);
    ids.into_iter()
        .filter(differ)
        .map(ToString::to_string)
        .collect()
}

/// For the command line.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{} {}", file.became, file.file)?;
            f.write_str(&file.lines)?;
        }
        let sensors = &self.sensors;
        let count = sensors.added + sensors.changed + sensors.removed;
        if count > 0 {
            writeln!(
                f,
                "sensors: {} added, {} changed, {} removed",
                sensors.added, sensors.changed, sensors.removed
            )?;
            for told in &sensors.first {
                writeln!(f, "  {told}")?;
            }
            if count > sensors.first.len() {
                writeln!(f, "  and {} more", count - sensors.first.len())?;
            }
        }
        if !self.rules.is_empty() {
            let count = |became: Became| self.rules_that(became).count();
            writeln!(
                f,
                "rules: {} added, {} changed, {} removed",
                count(Became::Added),
                count(Became::Changed),
                count(Became::Removed)
            )?;
        }
        for rule in &self.rules {
            write!(
                f,
                "rule {} {}: version {}",
                rule.rule, rule.became, rule.version
            )?;
            match &rule.was {
                Some(was) => writeln!(f, ", {was} -> {}", rule.mode)?,
                None => writeln!(f, ", {}", rule.mode)?,
            }
        }
        for rule in &self.modes {
            writeln!(
                f,
                "rule {rule}: its mode stands above its file for another time or reason"
            )?;
        }
        Ok(())
    }
}
