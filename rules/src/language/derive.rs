//! One derived series: its keys and the four ways in which it is made. Owns what an item of `derive:` may say;
//! how series depend on each other is in `order`.

use std::ops::Range;

use citywatch_model::{Duration, Name, name};

use super::check::Checker;
use super::source::Source;
use super::tree::Tree;
use super::yaml::{Map, Node};
use super::{daily, fields, fire_weather, shared};
use crate::ast::{Derive, Expression, FireWeather, Method};

const KEYS: [&str; 9] = [
    "id",
    "measurement",
    "unit",
    "where",
    "value",
    "zones",
    "daily",
    "fwi",
    "align",
];

/// Keys that say how a series is made.
const WAYS: [&str; 4] = ["value", "zones", "daily", "fwi"];

/// Reads one item of `derive:`. `None` if there are mistakes, all of which are reported.
pub(super) fn read(source: &mut Source<'_>, map: &Map) -> Option<Derive> {
    let mistakes = source.problems.len();
    fields::keys(source, map, "a derived series", &KEYS);
    shared::required(source, map, "this series", &["id", "measurement"]);
    let mut text = |key: &str| {
        fields::get(map, key).and_then(|node| fields::named(source, node, &format!("`{key}`")))
    };
    let (id, measurement, unit) = (text("id"), text("measurement"), text("unit"));
    shared::check_letters(source, map, id, measurement);
    shared::check_unit(source, map, unit);
    let selector =
        fields::get(map, "where").map_or_else(Vec::new, |node| shared::selector(source, node));
    let align = align(source, map);
    let method = method(source, map, align);
    if let Some(method) = &method {
        fitting(source, map, method, measurement);
    }
    if source.problems.len() > mistakes {
        return None;
    }
    Some(Derive {
        id: id?,
        measurement: measurement?,
        unit: unit.unwrap_or_else(|| name("")),
        selector,
        method: method?,
    })
}

fn align(source: &mut Source<'_>, map: &Map) -> Option<Duration> {
    let node = fields::get(map, "align")?;
    let align = fields::duration(source, node, "`align`")?;
    if align <= Duration::ZERO {
        let help = "leave it out, or give the length of a bucket such as 5m".to_owned();
        source.report_with_help(node.span(), "`align` to no time at all", help);
        return None;
    }
    Some(align)
}

/// Reads whichever way there is, all of them if there are too many.
fn method(source: &mut Source<'_>, map: &Map, align: Option<Duration>) -> Option<Method> {
    let entries = map.entries.iter();
    let ways: Vec<_> = entries
        .filter(|(key, _)| WAYS.contains(&key.value.as_str()))
        .collect();
    if ways.is_empty() {
        let help = "write `value: inflow - outflow`, `zones: sum(flow)`, \
                    `daily: mean(flow) from 02:00 to 04:00` or `fwi: { … }`"
            .to_owned();
        let place = map
            .entries
            .first()
            .map_or(map.span.clone(), |(key, _)| key.span.clone());
        source.report_with_help(place, "this series does not say how it is made", help);
    }
    let mut methods = Vec::new();
    for (key, node) in &ways {
        methods.push(match key.value.as_str() {
            "value" => value(source, node, align),
            "zones" => zones(source, node, align),
            "daily" => daily::read(source, node),
            _ => fire_weather::read(source, node).map(Method::FireWeather),
        });
    }
    if let [(first, _), (second, _), ..] = ways.as_slice() {
        let (first, second) = (first.value.as_str(), second);
        source.report_with_help(
            second.span.clone(),
            format!(
                "`{}` beside `{first}`: a series is made in one way",
                second.value
            ),
            "write two series, each with an `id` of its own".to_owned(),
        );
    }
    methods.into_iter().next().flatten()
}

fn value(source: &mut Source<'_>, node: &Node, align: Option<Duration>) -> Option<Method> {
    let example = "an expression such as `inflow - outflow`";
    let mut checker = Checker::of_series();
    let value = shared::expression(source, node, "`value`", example, |text| {
        checker.read_as(text, Checker::series)
    })?;
    Some(if checker.remote.is_empty() {
        Method::Each {
            value,
            inputs: checker.inputs,
            align,
        }
    } else {
        Method::Named {
            value,
            inputs: checker.remote,
            align,
        }
    })
}

fn zones(source: &mut Source<'_>, node: &Node, align: Option<Duration>) -> Option<Method> {
    let example = "a sum, mean, min or max such as `sum(flow)`";
    let (aggregate, of) = shared::expression(source, node, "`zones`", example, |text| {
        Checker::of_series().read_as(text, Checker::aggregate_of)
    })?;
    Some(Method::Zones {
        aggregate,
        of,
        align,
    })
}

impl Checker {
    /// The number that a derived series is: over its own sensor's measurements or over named sensors.
    fn series(&mut self, tree: Tree) -> Option<Expression> {
        let range = tree.range.clone();
        let number = self.number(tree)?;
        match (self.first_input.clone(), self.first_remote.clone()) {
            (None, None) => {
                let help = "name a measurement, or `sensor(ID, MEASUREMENT)`".to_owned();
                self.report(range, "this names no reading: it is always the same", help);
            }
            (Some(own), Some(remote)) => self.mixed(own, remote),
            (Some(_), None) | (None, Some(_)) => {}
        }
        Some(number)
    }

    fn mixed(&mut self, own: Range<usize>, remote: Range<usize>) {
        let (place, message) = if own.start < remote.start {
            (remote, "a named sensor beside measurements of the own one")
        } else {
            (own, "a measurement of the own sensor beside named ones")
        };
        let help =
            "name all as `sensor(ID, MEASUREMENT)`, or none: windows over a named sensor are a \
                    series of their own"
                .to_owned();
        self.report(place, message, help);
    }
}

/// Reports keys that mean nothing for this way of making a series, which would pass for an effect.
fn fitting(source: &mut Source<'_>, map: &Map, method: &Method, measurement: Option<Name>) {
    let (useless, why, help): (&[&str], _, _) = match method {
        Method::Each { value, .. } if value.is_plain() => (&[], "", ""),
        Method::Each { .. } => (
            &["align"],
            "a series with windows has the times of its readings",
            "leave it out, or make a series without windows first and name it here",
        ),
        Method::Named { .. } => (
            &["where"],
            "this series names its sensors",
            "leave it out, or name measurements instead of sensors",
        ),
        Method::Zones { .. } => (&[], "", ""),
        Method::Daily { .. } => (
            &["align"],
            "a daily series has one value a day",
            "leave it out",
        ),
        Method::FireWeather(_) => (
            &["align", "unit"],
            "the fire weather index is daily and has no unit",
            "leave it out",
        ),
    };
    for (key, _) in &map.entries {
        if useless.contains(&key.value.as_str()) {
            let message = format!("`{}` has no effect here: {why}", key.value);
            source.report_with_help(key.span.clone(), message, help.to_owned());
        }
    }
    if let (Method::FireWeather(_), Some(measurement), Some(node)) =
        (method, measurement, fields::get(map, "measurement"))
        && FireWeather::CODES.contains(&measurement.as_str())
    {
        let help = "write `measurement: fwi`: the codes come beside it by themselves".to_owned();
        let message = format!("`{measurement}` is one of the codes that come beside the index");
        source.report_with_help(node.span(), message, help);
    }
}
