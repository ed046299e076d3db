//! One rule: its keys, its conditions and what they name. Owns what a rule may say besides expressions.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name, RuleInfo, Text, name};

use super::check::Checker;
use super::notation::Scenario;
use super::source::Source;
use super::yaml::{Map, Node};
use super::{fields, scenario, suggest};
use crate::ast::{Condition, Rule};
use crate::units;

const KEYS: [&str; 13] = [
    "id",
    "name",
    "hazard",
    "measurement",
    "unit",
    "where",
    "levels",
    "clear",
    "hold",
    "advice",
    "source",
    "plan",
    "tests",
];

/// Keys of the language that are not read yet; a rule that needs them must not be silently misread.
const LATER: [&str; 1] = ["escalate"];

/// A checked rule with the tests that its file holds.
pub(crate) struct Compiled {
    pub rule: Arc<Rule>,
    pub tests: Vec<Scenario>,
}

/// Reads one item of `rules:`. `None` if there are mistakes, all of which are reported.
pub(super) fn read(source: &mut Source<'_>, map: &Map) -> Option<Compiled> {
    let mistakes = source.problems.len();
    keys(source, map);
    let info = info(source, map);
    let selector = fields::get(map, "where").map_or_else(Vec::new, |node| selector(source, node));
    let hold = fields::get(map, "hold").and_then(|node| fields::duration(source, node, "`hold`"));
    // conditions are checked for their own mistakes even if the measurement is missing
    let (measurement, unit) = info.as_ref().map_or_else(
        || (name("value"), name("")),
        |info| (info.measurement, info.unit),
    );
    let mut checker = Checker::new(measurement, unit);
    let levels = levels(source, map, &mut checker);
    let clear =
        fields::get(map, "clear").and_then(|node| condition(source, node, "`clear`", &mut checker));
    let tests = fields::get(map, "tests");
    let tests = match (&info, tests) {
        (Some(info), Some(tests)) => scenario::read(source, tests, info, &selector),
        _ => Vec::new(),
    };
    if source.problems.len() > mistakes {
        return None;
    }
    let rule = Rule {
        info: info?,
        selector,
        levels,
        clear,
        hold: hold.unwrap_or(Duration::ZERO),
        inputs: checker.inputs,
        remote: checker.remote,
        uses_age: checker.uses_age,
        proofs: checker.proofs,
    };
    Some(Compiled {
        rule: Arc::new(rule),
        tests,
    })
}

fn keys(source: &mut Source<'_>, map: &Map) {
    for (key, _) in &map.entries {
        let word = key.value.as_str();
        if LATER.contains(&word) {
            let help = "leave this rule out for now".to_owned();
            source.report_with_help(
                key.span.clone(),
                format!("`{word}` is not available yet"),
                help,
            );
        } else if !KEYS.contains(&word) {
            let help = suggest::help(word, &KEYS);
            source.report_with_help(
                key.span.clone(),
                format!("a rule has no key `{word}`"),
                help,
            );
        }
    }
    for required in ["id", "measurement", "levels"] {
        if fields::get(map, required).is_none() {
            let place = map
                .entries
                .first()
                .map_or(map.span.clone(), |(key, _)| key.span.clone());
            source.report(place, format!("this rule has no `{required}`"));
        }
    }
}

fn info(source: &mut Source<'_>, map: &Map) -> Option<RuleInfo> {
    let mut text = |key: &str| {
        fields::get(map, key).and_then(|node| fields::named(source, node, &format!("`{key}`")))
    };
    let (id, measurement) = (text("id"), text("measurement"));
    let (hazard, unit, plan) = (text("hazard"), text("unit"), text("plan"));
    let note = text("source");
    let mut both = |key: &str| {
        fields::get(map, key).and_then(|node| fields::text(source, node, &format!("`{key}`")))
    };
    let (label, advice) = (both("name"), both("advice"));
    check_letters(source, map, id, measurement);
    check_unit(source, map, unit);
    let (id, measurement) = (id?, measurement?);
    Some(RuleInfo {
        id,
        name: label.unwrap_or_else(|| Text::same(&id)),
        hazard: hazard.unwrap_or_else(|| name("")),
        measurement,
        unit: unit.unwrap_or_else(|| name("")),
        advice: advice.unwrap_or_default(),
        source: note.map_or_else(String::new, |note| note.to_string()),
        plan,
    })
}

/// Ids stand in addresses, metrics and messages; measurements must be expressible in conditions.
fn check_letters(source: &mut Source<'_>, map: &Map, id: Option<Name>, measurement: Option<Name>) {
    if let (Some(id), Some(node)) = (id, fields::get(map, "id"))
        && !id.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c))
    {
        let help = "use letters, digits and . - _, such as `flood.rapid-rise`".to_owned();
        source.report_with_help(
            node.span(),
            format!("`{id}` cannot be the id of a rule"),
            help,
        );
    }
    if let (Some(measurement), Some(node)) = (measurement, fields::get(map, "measurement"))
        && measurement
            .contains(|c: char| c.is_whitespace() || c.is_control() || "\"'(),".contains(c))
    {
        let help = "use letters, digits and _, such as `water_depth`".to_owned();
        source.report_with_help(
            node.span(),
            format!("`{measurement}` cannot be a measurement"),
            help,
        );
    }
}

fn check_unit(source: &mut Source<'_>, map: &Map, unit: Option<Name>) {
    if let (Some(unit), Some(node)) = (unit, fields::get(map, "unit"))
        && !units::is_known(&unit)
    {
        let help = suggest::closest(&unit, units::spellings()).map_or_else(
            || {
                "write a UCUM unit such as cm, m3/h, kPa, Cel, \"%\", \"%LEL\" or \"{count}\""
                    .to_owned()
            },
            |known| format!("did you mean `{known}`?"),
        );
        source.report_with_help(node.span(), format!("`{unit}` is not a unit"), help);
    }
}

fn selector(source: &mut Source<'_>, node: &Node) -> Vec<(Name, Vec<Name>)> {
    let Some(map) = fields::map(source, node, "`where`") else {
        return Vec::new();
    };
    let mut selector = Vec::new();
    for (tag, node) in &map.entries {
        let what = format!("tag `{}`", tag.value);
        let values: Vec<Name> = match node {
            Node::List(items, span) => {
                if items.is_empty() {
                    source.report(
                        span.clone(),
                        format!("{what} has an empty list: no sensor would match"),
                    );
                }
                items
                    .iter()
                    .filter_map(|item| fields::named(source, item, &what))
                    .collect()
            }
            Node::Scalar(_) | Node::Map(_) => {
                fields::named(source, node, &what).into_iter().collect()
            }
        };
        selector.push((name(&tag.value), values));
    }
    selector
}

fn levels(source: &mut Source<'_>, map: &Map, checker: &mut Checker) -> [Option<Condition>; 4] {
    let mut levels = [const { None }; 4];
    let Some(map) =
        fields::get(map, "levels").and_then(|node| fields::map(source, node, "`levels`"))
    else {
        return levels;
    };
    let words = Level::ALL.map(Level::word);
    fields::keys(source, map, "`levels`", &words);
    if map.entries.is_empty() {
        let help = "give at least one of blue, yellow, orange, red".to_owned();
        source.report_with_help(map.span.clone(), "`levels` is empty", help);
    }
    // mildest first, whatever the order in the file, because proofs are numbered so
    for (slot, word) in levels.iter_mut().zip(words) {
        if let Some(node) = fields::get(map, word) {
            *slot = condition(source, node, &format!("`{word}`"), checker);
        }
    }
    // a level with a slip in its name still has a condition worth checking
    let unknown = map
        .entries
        .iter()
        .filter(|(key, _)| !words.contains(&key.value.as_str()));
    for (key, node) in unknown.filter(|(_, node)| node.kind() != "nothing") {
        condition(source, node, &format!("`{}`", key.value), checker);
    }
    levels
}

fn condition(
    source: &mut Source<'_>,
    node: &Node,
    what: &str,
    checker: &mut Checker,
) -> Option<Condition> {
    let scalar = match node {
        Node::Scalar(scalar) if !scalar.is_nothing() && !scalar.value.trim().is_empty() => scalar,
        _ => {
            let help = "write a condition such as `value >= 5 for 2m`".to_owned();
            let kind = if matches!(node, Node::Scalar(_)) {
                "nothing"
            } else {
                node.kind()
            };
            source.report_with_help(
                node.span(),
                format!("{what} must be a condition, found {kind}"),
                help,
            );
            return None;
        }
    };
    match checker.read(&scalar.value) {
        Ok(condition) => Some(condition),
        Err(mistakes) => {
            for mistake in mistakes {
                let place = scalar.locate(source.text, mistake.range);
                source.report_with_help(place, mistake.message, mistake.help);
            }
            None
        }
    }
}
