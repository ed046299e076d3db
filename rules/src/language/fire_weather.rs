//! `fwi: { temperature: …, humidity: …, wind: …, rain: … }`. Owns these keys; knows no equation.

use citywatch_model::Name;

use super::fields;
use super::source::Source;
use super::yaml::{Map, Node};
use crate::ast::FireWeather;

/// FFMC, DMC and DC of the day before the first where nothing is known: Van Wagner and Pickett 1985.
const START: [f64; 3] = [85.0, 6.0, 15.0];

const KEYS: [&str; 5] = ["temperature", "humidity", "wind", "rain", "start"];

/// Reads what stands behind `fwi:`; mistakes are reported.
pub(super) fn read(source: &mut Source<'_>, node: &Node) -> Option<FireWeather> {
    let map = fields::map(source, node, "`fwi`")?;
    fields::keys(source, map, "`fwi`", &KEYS);
    let mut input = |key: &str| input(source, map, key);
    let (temperature, humidity) = (input("temperature"), input("humidity"));
    let (wind, rain) = (input("wind"), input("rain"));
    let start = match fields::get(map, "start") {
        Some(node) => start(source, node),
        None => Some(START),
    };
    Some(FireWeather {
        temperature: temperature?,
        humidity: humidity?,
        wind: wind?,
        rain: rain?,
        start: start?,
    })
}

fn input(source: &mut Source<'_>, map: &Map, key: &str) -> Option<Name> {
    let Some(node) = fields::get(map, key) else {
        let help = format!("name the measurement of the station, such as `{key}: {key}`");
        source.report_with_help(map.span.clone(), format!("`fwi` has no `{key}`"), help);
        return None;
    };
    let measurement = fields::named(source, node, &format!("`{key}`"))?;
    let again = map
        .entries
        .iter()
        .take_while(|(known, _)| known.value != key)
        .filter(|(known, _)| KEYS.contains(&known.value.as_str()))
        .find(|(_, other)| matches!(other, Node::Scalar(other) if other.value.trim() == measurement.as_str()));
    if let Some((other, _)) = again {
        let message = format!("`{measurement}` is already the `{}`", other.value);
        let help = format!("name the measurement that is the {key}");
        source.report_with_help(node.span(), message, help);
        return None;
    }
    Some(measurement)
}

/// `[85, 6, 15]`
fn start(source: &mut Source<'_>, node: &Node) -> Option<[f64; 3]> {
    let items = fields::list(source, node, "`start`")?;
    let mut numbers = Vec::new();
    for item in items {
        numbers.push(fields::number(source, item, "`start`")?);
    }
    // the FFMC scale ends at 101; the other two codes have no upper end
    match numbers.as_slice() {
        &[ffmc, dmc, dc] if (0.0..=101.0).contains(&ffmc) && dmc >= 0.0 && dc >= 0.0 => {
            Some([ffmc, dmc, dc])
        }
        _ => {
            let message = "`start` must be FFMC (0 to 101), DMC and DC (from 0)";
            let help = "write `start: [85, 6, 15]`".to_owned();
            source.report_with_help(node.span(), message, help);
            None
        }
    }
}
