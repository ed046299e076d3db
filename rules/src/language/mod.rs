//! The rule language: YAML text in, checked rules and derived series or every mistake out. Pure; never
//! evaluates anything.
//!
//! `yaml` reads a file as a tree with places; `files` brings files together; `rule`, `derive` and `scenario` read
//! the keys; `lexer`, `syntax` and `values` read expressions; `check`, `names`, `functions`, `groups` and `clock`
//! give them meaning; `order` sorts derived series; `print` writes.

mod check;
mod clock;
mod daily;
mod derive;
mod distance;
mod fields;
mod files;
mod fire_weather;
mod functions;
mod groups;
mod lexer;
mod names;
mod notation;
mod numbers;
mod order;
mod place;
mod places;
mod print;
mod print_series;
mod rule;
mod scenario;
mod scenario_sensors;
mod shared;
mod source;
mod suggest;
mod syntax;
mod token;
mod tree;
mod values;
mod yaml;

use std::sync::Arc;

use citywatch_model::RuleSource;

use crate::ast::RuleSet;
use crate::problem::Problems;

pub(crate) use self::files::read;
pub(crate) use self::notation::{Expected, MIDNIGHT, Scenario};
pub use self::places::{derive_places, rule_places};
pub use self::suggest::is_one_letter_off;

/// Reads rule files that are in force together. Rules whose mode is off are in the set, too.
///
/// # Errors
/// Every mistake of every file at once, also those in the tests that the files hold.
pub fn compile(sources: &[RuleSource]) -> Result<RuleSet, Problems> {
    let files = read(sources)?;
    let rules = files.rules.into_values();
    Ok(RuleSet {
        rules: rules.map(|compiled| Arc::new(compiled.rule)).collect(),
        derived: files.derived,
    })
}
