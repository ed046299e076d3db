//! Several rule files as one: ids that no two may share, derived series that rules of other files name, and all
//! mistakes together. Owns what is between files; what is inside an item is in `rule` and `derive`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use citywatch_model::{Name, RuleSource};

use super::rule::Compiled;
use super::source::Source;
use super::yaml::{Map, Node};
use super::{derive, fields, order, rule, suggest, yaml};
use crate::ast::{Derive, Rule};
use crate::problem::Problems;

const KEYS: [&str; 2] = ["rules", "derive"];

/// Everything that the files hold.
pub(crate) struct Files {
    /// Rules with their tests by id.
    pub rules: BTreeMap<Name, Compiled>,
    /// In the order of `RuleSet::derived`.
    pub derived: Vec<Arc<Derive>>,
}

/// Reads rule files that are in force together.
///
/// # Errors
/// Every mistake of every file, ordered by file, line and column.
pub(crate) fn read(sources: &[RuleSource]) -> Result<Files, Problems> {
    let mut reading = Reading::default();
    let mut files: Vec<_> = sources
        .iter()
        .map(|file| Source::new(&file.file, &file.text))
        .collect();
    for (index, source) in files.iter_mut().enumerate() {
        reading.file(source, index);
    }
    let files_read = reading.finish(&mut files);
    let mut list = Vec::new();
    for mut source in files {
        source
            .problems
            .sort_by_key(|problem| (problem.line, problem.column));
        list.append(&mut source.problems);
    }
    if list.is_empty() {
        Ok(files_read)
    } else {
        Err(Problems { list })
    }
}

/// Where an id stands first.
struct Place {
    /// Index of the file.
    file: usize,
    span: Range<usize>,
    /// `FILE:LINE`, for messages.
    written: String,
}

#[derive(Default)]
struct Reading {
    rules: BTreeMap<Name, Compiled>,
    series: Vec<Derive>,
    /// Also of rules and series with mistakes, so that a double is named in the same run.
    rule_ids: BTreeMap<Name, Place>,
    series_ids: BTreeMap<Name, Place>,
}

impl Reading {
    fn file(&mut self, source: &mut Source<'_>, index: usize) {
        let Some(root) = yaml::read(source) else {
            if source.problems.is_empty() {
                let help = "write `rules:` and a list of rules".to_owned();
                source.report_with_help(0..0, "this file is empty", help);
            }
            return;
        };
        let Some(root) = fields::map(source, &root, "a rule file") else {
            return;
        };
        for (key, _) in &root.entries {
            if !KEYS.contains(&key.value.as_str()) {
                let help = suggest::closest(&key.value, KEYS).map_or_else(
                    || "a rule file holds `rules:` and `derive:`".to_owned(),
                    |key| format!("did you mean `{key}`?"),
                );
                let message = format!("a rule file has no key `{}`", key.value);
                source.report_with_help(key.span.clone(), message, help);
            }
        }
        let [rules, series] = KEYS.map(|key| fields::get(root, key));
        if rules.is_none() && series.is_none() && source.problems.is_empty() {
            let help = "write `rules:` and a list of rules".to_owned();
            let message = "this file has neither `rules:` nor `derive:`";
            source.report_with_help(root.span.clone(), message, help);
        }
        for (node, key) in [(rules, "`rules`"), (series, "`derive`")] {
            let items = node.and_then(|node| fields::list(source, node, key));
            for item in items.unwrap_or_default() {
                if key == "`rules`" {
                    self.rule(source, index, item);
                } else {
                    self.derive(source, index, item);
                }
            }
        }
    }

    fn rule(&mut self, source: &mut Source<'_>, file: usize, node: &Node) {
        let Some(map) = fields::map(source, node, "a rule") else {
            return;
        };
        note(source, file, map, "rule", &mut self.rule_ids);
        if let Some(compiled) = rule::read(source, map) {
            self.rules.entry(compiled.rule.info.id).or_insert(compiled);
        }
    }

    fn derive(&mut self, source: &mut Source<'_>, file: usize, node: &Node) {
        let Some(map) = fields::map(source, node, "a derived series") else {
            return;
        };
        let is_first = note(source, file, map, "series", &mut self.series_ids);
        self.series
            .extend(derive::read(source, map).filter(|_| is_first));
    }

    /// What can be told only when all files are read.
    fn finish(mut self, files: &mut [Source<'_>]) -> Files {
        let (derived, rings) = order::ordered(self.series);
        for ring in rings {
            if let Some(place) = ring.first().and_then(|id| self.series_ids.get(id)) {
                report_ring(&mut files[place.file], place.span.clone(), &ring);
            }
        }
        for source in files {
            for (subject, place) in std::mem::take(&mut source.subjects) {
                // a series over named sensors is a sensor of its own
                if !self.series_ids.contains_key(&subject) {
                    let help = "name it under `readings:`, `sensors:` or `zones:`".to_owned();
                    let message = format!("no sensor `{subject}` in this test");
                    source.report_with_help(place, message, help);
                }
            }
        }
        let made = order::made(&derived);
        for Compiled { rule, .. } in self.rules.values_mut() {
            let of_series = named(rule).any(|measurement| made.contains(&measurement));
            rule.second_stage |= of_series;
        }
        Files {
            rules: self.rules,
            derived: derived.into_iter().map(Arc::new).collect(),
        }
    }
}

/// Measurements that conditions of the rule name, its own first, groups aside.
fn named(rule: &Rule) -> impl Iterator<Item = Name> {
    let remote = rule.remote.iter().map(|(_, measurement)| *measurement);
    rule.inputs.iter().copied().chain(remote)
}

/// Notes the id of an item; whether it is the first of this id.
fn note(
    source: &mut Source<'_>,
    file: usize,
    map: &Map,
    what: &str,
    ids: &mut BTreeMap<Name, Place>,
) -> bool {
    let Some(Node::Scalar(id)) = fields::get(map, "id") else {
        return true;
    };
    let key = citywatch_model::name(id.value.trim());
    if let Some(first) = ids.get(&key) {
        let help = format!(
            "it stands in {} too; every {what} needs an id of its own",
            first.written
        );
        let message = format!("{what} id `{key}` is used twice");
        source.report_with_help(id.span.clone(), message, help);
        return false;
    }
    let place = Place {
        file,
        span: id.span.clone(),
        written: format!("{}:{}", source.file, source.line(id.span.start)),
    };
    ids.insert(key, place);
    true
}

fn report_ring(source: &mut Source<'_>, place: Range<usize>, ring: &[Name]) {
    let help = "give one of them a measurement of another name, or leave one out".to_owned();
    let names: Vec<_> = ring
        .iter()
        .chain(ring.first())
        .map(|id| format!("`{id}`"))
        .collect();
    let message = if let [id] = ring {
        format!("`{id}` is derived from the measurement that it makes itself")
    } else {
        format!(
            "derived series are made of each other: {}",
            names.join(" of ")
        )
    };
    source.report_with_help(place, message, help);
}
