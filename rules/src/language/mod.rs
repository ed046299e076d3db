//! The rule language: YAML text in, checked rules or every mistake out. Pure; never evaluates a rule.
//!
//! `yaml` reads the file as a tree with places, `rule` and `scenario` read the keys, `lexer`, `syntax` and
//! `values` read conditions, `check` and `functions` give them meaning, `print` writes them.

mod check;
mod fields;
mod functions;
mod lexer;
mod notation;
mod place;
mod print;
mod rule;
mod scenario;
mod source;
mod suggest;
mod syntax;
mod token;
mod tree;
mod values;
mod yaml;

use std::collections::BTreeMap;

use citywatch_model::{Name, RuleSource};

use self::source::Source;
use self::yaml::Node;
use crate::ast::RuleSet;
use crate::problem::Problems;

pub(crate) use self::notation::{Expected, MIDNIGHT, Scenario};
pub(crate) use self::rule::Compiled;

/// Reads rule files that are in force together.
///
/// # Errors
/// Every mistake of every file at once, also those in the tests that the files hold.
pub fn compile(sources: &[RuleSource]) -> Result<RuleSet, Problems> {
    let compiled = read(sources)?;
    Ok(RuleSet {
        rules: compiled
            .into_values()
            .map(|compiled| compiled.rule)
            .collect(),
    })
}

/// Rules with their tests by id; each with the number of its file.
pub(crate) fn read(sources: &[RuleSource]) -> Result<BTreeMap<Name, Compiled>, Problems> {
    let mut all = BTreeMap::new();
    let mut places: BTreeMap<Name, String> = BTreeMap::new();
    let mut list = Vec::new();
    for file in sources {
        let mut source = Source::new(&file.file, &file.text);
        read_file(&mut source, &mut all, &mut places);
        let mut problems = source.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        list.append(&mut problems);
    }
    if list.is_empty() {
        Ok(all)
    } else {
        Err(Problems { list })
    }
}

fn read_file(
    source: &mut Source<'_>,
    all: &mut BTreeMap<Name, Compiled>,
    places: &mut BTreeMap<Name, String>,
) {
    let Some(root) = yaml::read(source) else {
        if source.problems.is_empty() {
            source.report_with_help(
                0..0,
                "this file is empty",
                "write `rules:` and a list of rules".to_owned(),
            );
        }
        return;
    };
    let Some(root) = fields::map(source, &root, "a rule file") else {
        return;
    };
    for (key, _) in &root.entries {
        if key.value == "derive" {
            let help = "leave derived series out for now".to_owned();
            source.report_with_help(key.span.clone(), "`derive` is not available yet", help);
        } else if key.value != "rules" {
            let help = "a rule file holds `rules:`".to_owned();
            source.report_with_help(
                key.span.clone(),
                format!("a rule file has no key `{}`", key.value),
                help,
            );
        }
    }
    let Some(rules) = fields::get(root, "rules") else {
        if source.problems.is_empty() {
            source.report(root.span.clone(), "this file has no `rules:`");
        }
        return;
    };
    for node in fields::list(source, rules, "`rules`").unwrap_or_default() {
        read_item(source, node, all, places);
    }
}

fn read_item(
    source: &mut Source<'_>,
    node: &Node,
    all: &mut BTreeMap<Name, Compiled>,
    places: &mut BTreeMap<Name, String>,
) {
    let Some(map) = fields::map(source, node, "a rule") else {
        return;
    };
    // also of a rule with mistakes, so that its double is named in the same run
    if let Some(Node::Scalar(id)) = fields::get(map, "id") {
        let key = citywatch_model::name(id.value.trim());
        let place = format!("{}:{}", source.file, source.line(id.span.start));
        if let Some(first) = places.get(&key) {
            let help = format!("it stands in {first} too; every rule needs an id of its own");
            source.report_with_help(
                id.span.clone(),
                format!("rule id `{key}` is used twice"),
                help,
            );
        } else {
            places.insert(key, place);
        }
    }
    if let Some(compiled) = rule::read(source, map) {
        all.entry(compiled.rule.info.id).or_insert(compiled);
    }
}
