//! Keys that rules and derived series have in common: ids, measurements, units, `where` and expressions.
//! Continues `fields` with what these keys mean.

use citywatch_model::{Name, name};

use super::source::Source;
use super::token::Mistake;
use super::yaml::{Map, Node};
use super::{fields, suggest};
use crate::units;

/// Reports every required key that is missing, at the first key that is there.
pub(super) fn required(source: &mut Source<'_>, map: &Map, what: &str, required: &[&str]) {
    for required in required {
        if fields::get(map, required).is_none() {
            let place = map
                .entries
                .first()
                .map_or(map.span.clone(), |(key, _)| key.span.clone());
            let help = format!("write `{required}: …` beside its other keys");
            source.report_with_help(place, format!("{what} has no `{required}`"), help);
        }
    }
}

/// Ids stand in addresses, metrics and messages; measurements must be expressible in conditions.
pub(super) fn check_letters(
    source: &mut Source<'_>,
    map: &Map,
    id: Option<Name>,
    measurement: Option<Name>,
) {
    if let (Some(id), Some(node)) = (id, fields::get(map, "id"))
        && !id.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c))
    {
        let help = "use letters, digits and . - _, such as `flood.rapid-rise`".to_owned();
        source.report_with_help(node.span(), format!("`{id}` cannot be an id"), help);
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

pub(super) fn check_unit(source: &mut Source<'_>, map: &Map, unit: Option<Name>) {
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

/// `where:`
pub(super) fn selector(source: &mut Source<'_>, node: &Node) -> Vec<(Name, Vec<Name>)> {
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

/// The text behind a key that holds an expression, as `read` takes it; its mistakes are reported where they
/// stand. `example` as in "a condition such as `value >= 5`".
pub(super) fn expression<T>(
    source: &mut Source<'_>,
    node: &Node,
    what: &str,
    example: &str,
    read: impl FnOnce(&str) -> Result<T, Vec<Mistake>>,
) -> Option<T> {
    let scalar = match node {
        Node::Scalar(scalar) if !scalar.is_nothing() && !scalar.value.trim().is_empty() => scalar,
        _ => {
            let kind = if matches!(node, Node::Scalar(_)) {
                "nothing"
            } else {
                node.kind()
            };
            let kind_wanted = example.split(" such as").next().unwrap_or(example);
            source.report_with_help(
                node.span(),
                format!("{what} must be {kind_wanted}, found {kind}"),
                format!("write {example}"),
            );
            return None;
        }
    };
    match read(&scalar.value) {
        Ok(read) => Some(read),
        Err(mistakes) => {
            for mistake in mistakes {
                let place = scalar.locate(source.text, mistake.range);
                source.report_with_help(place, mistake.message, mistake.help);
            }
            None
        }
    }
}
