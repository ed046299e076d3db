//! Registered sensors that no rule looks at: mostly a tag or a measurement that is misspelt, so that nothing is ever
//! raised there. A sensor whose measurements the registry does not say may measure all.

use std::collections::BTreeSet;

use citywatch_model::{Mode, Name, Sensor};
use citywatch_rules::ast::{Condition, Expression, Method, Rule};

use super::Bundle;
use crate::selection::selects;

/// Them, in the order of their ids. Modes that stand above the files are not asked: a rule that is turned off for a
/// night still says that the sensor was registered well.
pub fn unwatched(bundle: &Bundle) -> Vec<Name> {
    let rules = bundle.rules.rules.iter();
    let rules: Vec<&Rule> = rules
        .map(AsRef::as_ref)
        .filter(|rule| rule.info.mode != Mode::Off)
        .collect();
    let around = around(&rules);
    let sensors = bundle.registry.sensors.values();
    let unwatched = sensors.filter(|sensor| {
        !rules.iter().any(|rule| watches(bundle, rule, sensor))
            && !bundle.rules.derived.iter().any(|derive| {
                let inputs = inputs(&derive.method, sensor.id);
                measures(sensor, &inputs) && is_selected(bundle, &derive.selector, sensor)
            })
            && !is_all(sensor, &around)
    });
    unwatched.map(|sensor| sensor.id).collect()
}

fn watches(bundle: &Bundle, rule: &Rule, sensor: &Sensor) -> bool {
    rule.remote.iter().any(|(remote, _)| *remote == sensor.id)
        || measures(sensor, &[rule.info.measurement]) && is_selected(bundle, &rule.selector, sensor)
}

fn is_selected(bundle: &Bundle, selector: &[(Name, Vec<Name>)], sensor: &Sensor) -> bool {
    selects(selector, sensor.id, &bundle.registry)
}

fn measures(sensor: &Sensor, any: &[Name]) -> bool {
    let measured = &sensor.measurements;
    !any.is_empty() && (measured.is_empty() || any.iter().any(|name| measured.contains(name)))
}

fn is_all(sensor: &Sensor, of: &[Name]) -> bool {
    let measured = &sensor.measurements;
    !measured.is_empty() && measured.iter().all(|name| of.contains(name))
}

/// What a derived series takes of this sensor if it selects it.
fn inputs(method: &Method, sensor: Name) -> Vec<Name> {
    match method {
        Method::Each { inputs, .. } => inputs.clone(),
        Method::Named { inputs, .. } => {
            let inputs = inputs.iter().filter(|(input, _)| *input == sensor);
            inputs.map(|(_, measurement)| *measurement).collect()
        }
        Method::Zones { of, .. } | Method::Daily { of, .. } => vec![*of],
        Method::FireWeather(weather) => vec![
            weather.temperature,
            weather.humidity,
            weather.wind,
            weather.rain,
        ],
    }
}

/// What rules look at around their own sensors. Whoever measures nothing else, such as a rain gauge, is registered for
/// that; an underpass of a misspelt kind is not, though its rain is looked at too.
fn around(rules: &[&Rule]) -> Vec<Name> {
    let mut found = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.second_stage) {
        let levels = rule.levels.iter().flatten();
        for condition in levels.chain(&rule.clear) {
            in_condition(condition, &mut found);
        }
    }
    found.into_iter().collect()
}

fn in_condition(condition: &Condition, found: &mut BTreeSet<Name>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| in_condition(part, found));
        }
        Condition::Not(inner) => in_condition(inner, found),
        Condition::Compare(comparison) => {
            in_expression(&comparison.left, found);
            in_expression(&comparison.right, found);
        }
    }
}

fn in_expression(expression: &Expression, found: &mut BTreeSet<Name>) {
    match expression {
        Expression::Group(group) => {
            found.insert(group.measurement);
        }
        Expression::Negate(inner) => in_expression(inner, found),
        Expression::Arithmetic(left, _, right) => {
            in_expression(left, found);
            in_expression(right, found);
        }
        Expression::Number(_)
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Window { .. }
        | Expression::Age
        | Expression::Interval
        | Expression::Baseline { .. } => {}
    }
}
