//! One rule: its keys, its conditions and what they name. Owns what a rule may say besides expressions.

use citywatch_model::{Duration, Level, Mode, RuleInfo, Text, name};

use super::check::Checker;
use super::notation::Scenario;
use super::source::Source;
use super::yaml::{Map, Node};
use super::{distance, fields, scenario, shared, suggest};
use crate::ast::{Condition, Escalate, Rule};

const KEYS: [&str; 15] = [
    "id",
    "name",
    "hazard",
    "measurement",
    "unit",
    "where",
    "levels",
    "clear",
    "hold",
    "escalate",
    "mode",
    "advice",
    "source",
    "plan",
    "tests",
];

/// A checked rule with the tests that its file holds.
pub(crate) struct Compiled {
    pub rule: Rule,
    pub tests: Vec<Scenario>,
}

/// Reads one item of `rules:`. `None` if there are mistakes, all of which are reported.
pub(super) fn read(source: &mut Source<'_>, map: &Map) -> Option<Compiled> {
    let mistakes = source.problems.len();
    fields::keys(source, map, "a rule", &KEYS);
    shared::required(source, map, "this rule", &["id", "measurement", "levels"]);
    let info = info(source, map);
    let selector =
        fields::get(map, "where").map_or_else(Vec::new, |node| shared::selector(source, node));
    let hold = fields::get(map, "hold").and_then(|node| fields::duration(source, node, "`hold`"));
    let escalate = fields::get(map, "escalate").and_then(|node| escalate(source, node));
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
        escalate,
        uses_age: checker.uses_age,
        // those that a derived series makes are known when all files are read
        second_stage: checker.uses_groups,
        proofs: checker.proofs,
    };
    Some(Compiled { rule, tests })
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
    shared::check_letters(source, map, id, measurement);
    shared::check_unit(source, map, unit);
    let mode = fields::get(map, "mode").map(|node| mode(source, node));
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
        mode: mode.unwrap_or_default(),
    })
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
    let example = "a condition such as `value >= 5 for 2m`";
    shared::expression(source, node, what, example, |text| checker.read(text))
}

/// `{ within: 100m, sensors: 2 }`
fn escalate(source: &mut Source<'_>, node: &Node) -> Option<Escalate> {
    let map = fields::map(source, node, "`escalate`")?;
    fields::keys(source, map, "`escalate`", &["within", "sensors"]);
    let within = match fields::get(map, "within") {
        Some(node) => fields::scalar(source, node, "`within`"),
        None => {
            let help = "write `escalate: { within: 100m, sensors: 2 }`".to_owned();
            source.report_with_help(map.span.clone(), "`escalate` has no `within`", help);
            None
        }
    };
    let within_m = within.and_then(|scalar| match distance::metres(scalar.value.trim()) {
        Ok(metres) => Some(metres),
        Err((message, help)) => {
            source.report_with_help(scalar.span.clone(), message, help);
            None
        }
    });
    let sensors = match fields::get(map, "sensors") {
        None => Some(2),
        Some(node) => {
            let scalar = fields::scalar(source, node, "`sensors`")?;
            let sensors = scalar.value.trim().parse::<u32>().ok();
            let sensors = sensors.filter(|sensors| *sensors >= 2);
            if sensors.is_none() {
                let message = format!("`sensors`: `{}` is not a whole number from 2", scalar.value);
                let help =
                    "the sensor itself counts: write `sensors: 2` for it and one more".to_owned();
                source.report_with_help(scalar.span.clone(), message, help);
            }
            sensors
        }
    };
    Some(Escalate {
        within_m: within_m?,
        sensors: sensors?,
    })
}

fn mode(source: &mut Source<'_>, node: &Node) -> Mode {
    let Some(scalar) = fields::scalar(source, node, "`mode`") else {
        return Mode::default();
    };
    let word = scalar.value.trim();
    Mode::ALL
        .into_iter()
        .find(|mode| mode.word() == word)
        .unwrap_or_else(|| {
            let help = suggest::help(word, &Mode::ALL.map(Mode::word));
            source.report_with_help(scalar.span.clone(), format!("`{word}` is not a mode"), help);
            Mode::default()
        })
}
