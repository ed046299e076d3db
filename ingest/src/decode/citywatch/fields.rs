//! The fields of one payload object: what each may hold, what it means, and what stands in for it when it
//! is missing.

use std::borrow::Cow;

use citywatch_model::{Registry, Time};
use smallvec::{SmallVec, smallvec};

use super::message::shown;
use crate::decode::Context;
use crate::decode::json::{Key, Node, Object};
use crate::rejected::Reason;

/// Values that one observation may hold; keeps the search for repeated names short.
const MAX_VALUES: usize = 1_000;

/// Below this a numeric `ts` counts seconds, from it on milliseconds (DESIGN.md §5).
const FIRST_MILLIS: f64 = 1e11;

/// What a value measures if neither payload, topic nor registry says.
pub(crate) const DEFAULT_MEASUREMENT: &str = "value";

/// Why something is not taken, and what to send instead.
pub(super) type Wrong = (Reason, String);

/// Sensor and event time.
pub(super) fn head<'a>(
    object: &mut Object<'a>,
    context: &Context<'a>,
) -> Result<(Cow<'a, str>, Option<Time>), Wrong> {
    if let Some(key) = object.twice {
        let detail = format!("the key `{}` stands twice: send it once", key.name());
        return Err((Reason::DuplicateKey, detail));
    }
    let sensor =
        text_field(object.take(Key::Sensor), Key::Sensor)?.or(context.sensor.map(Cow::Borrowed));
    let sensor = sensor.ok_or_else(|| {
        let detail =
            "no sensor is named: add \"sensor\":\"ID\", or publish on a topic with {sensor}";
        (Reason::NoSensor, detail.to_owned())
    })?;
    let time = time_of(object.take(Key::Ts))?;
    if let (None, Some(other)) = (time, object.other_time) {
        let other = other.name();
        // the arrival time in its place would make something new of something old
        let detail = format!(
            "there is no `ts`, but a time in `{other}`: name the event time `ts`, or leave `{other}` out if it was measured just now"
        );
        return Err((Reason::BadTime, detail));
    }
    Ok((sensor, time))
}

/// A field that must be a text if it is there at all; null and "" count as absent.
fn text_field<'a>(node: Option<Node<'a>>, key: Key) -> Result<Option<Cow<'a, str>>, Wrong> {
    match node {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Text(text)) => Ok((!text.is_empty()).then_some(text)),
        Some(other) => {
            let detail = format!(
                "`{}` is {}: send a string in double quotes",
                key.name(),
                other.kind()
            );
            Err((Reason::WrongType, detail))
        }
    }
}

fn time_of(node: Option<Node<'_>>) -> Result<Option<Time>, Wrong> {
    const HOW: &str = "send seconds or milliseconds since 1970 as a number, or RFC 3339 with an offset such as 2026-11-22T08:00:00+08:00";
    match node {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Integer(number)) => Ok(Some(time_of_number(number as f64, || number))),
        Some(Node::Float(number)) => Ok(Some(time_of_number(number, || number.round() as i64))),
        Some(Node::Text(text)) => match text.parse() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err((
                Reason::BadTime,
                format!("`ts` \"{}\" is not a time: {HOW}", shown(&text)),
            )),
        },
        Some(Node::Beyond(text)) => Err((
            Reason::BadTime,
            format!("`ts` {} is not a time: {HOW}", shown(text)),
        )),
        Some(other @ (Node::Bool(_) | Node::Array | Node::Object(_))) => {
            Err((Reason::BadTime, format!("`ts` is {}: {HOW}", other.kind())))
        }
    }
}

pub(super) fn time_of_number(number: f64, millis: impl Fn() -> i64) -> Time {
    if number < FIRST_MILLIS {
        let millis = number * 1_000.0;
        let whole = millis as i64;
        // mostly there is nothing to round, which would cost a call
        let rounded = if whole as f64 == millis {
            whole
        } else {
            millis.round() as i64
        };
        Time::from_millis(rounded)
    } else {
        Time::from_millis(millis())
    }
}

pub(super) type Field<'a> = (Cow<'a, str>, Node<'a>, Result<Cow<'a, str>, Wrong>);

/// Every measurement of the object with its value, not yet judged, and its unit.
pub(super) fn values_of<'a>(
    object: &mut Object<'a>,
    sensor: &str,
    context: &Context<'a>,
) -> Result<SmallVec<[Field<'a>; 1]>, Wrong> {
    let named = text_field(object.take(Key::Measurement), Key::Measurement)?;
    let unit = text_field(object.take(Key::Unit), Key::Unit)?.unwrap_or_default();
    let units = fields(object.take(Key::Units), Key::Units)?.unwrap_or_default();
    if let (true, true, Some(other)) = (unit.is_empty(), units.is_empty(), object.other_unit) {
        let other = other.name();
        // without its unit a number would be taken for another
        let detail = format!(
            "there is no `unit`, but something like it in `{other}`: name the unit `unit`, in small letters, or leave `{other}` out"
        );
        return Err((Reason::BadUnit, detail));
    }
    let many = fields(object.take(Key::Values), Key::Values)?;
    let one = object.take(Key::Value);
    if one.is_none() && many.is_none() {
        let detail = "there is neither `value` nor `values`: send \"value\":1.2 or \"values\":{\"methane\":1.2}";
        return Err((Reason::NoValue, detail.to_owned()));
    }
    let unit_of = |measurement: &str| match units.iter().find(|(name, _)| name == measurement) {
        None | Some((_, Node::Null)) => Ok(unit.clone()),
        Some((_, Node::Text(text))) => Ok(text.clone()),
        Some((_, other)) => {
            let name = shown(measurement);
            Err((
                Reason::WrongType,
                format!("the unit of `{name}` is {}: send a string", other.kind()),
            ))
        }
    };
    let mut all: SmallVec<[Field<'a>; 1]> = SmallVec::new();
    if let Some(node) = one {
        let measurement = named
            .or(context.measurement.map(Cow::Borrowed))
            .or_else(|| only_measurement(context.registry, sensor).map(Cow::Borrowed))
            .unwrap_or(Cow::Borrowed(DEFAULT_MEASUREMENT));
        let unit = unit_of(&measurement);
        all = smallvec![(measurement, node, unit)];
    }
    if let Some(many) = many {
        if many.is_empty() {
            return Err((
                Reason::Empty,
                "`values` is empty: send at least one measurement".to_owned(),
            ));
        }
        all.extend(many.into_iter().map(|(measurement, node)| {
            let unit = unit_of(&measurement);
            (measurement, node, unit)
        }));
    }
    Ok(all)
}

pub(in crate::decode) fn only_measurement(
    registry: &Registry,
    sensor: &str,
) -> Option<&'static str> {
    if registry.sensors.is_empty() {
        return None;
    }
    // a sensor that the registry holds is interned already; foreign text must not be
    let id = ustr::existing_ustr(sensor)?;
    match registry.sensors.get(&id)?.measurements.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    }
}

type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

fn fields<'a>(node: Option<Node<'a>>, key: Key) -> Result<Option<Members<'a>>, Wrong> {
    let name = key.name();
    match node {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Object(fields)) if fields.len() <= MAX_VALUES => Ok(Some(fields)),
        Some(Node::Object(fields)) => {
            let count = fields.len();
            Err((
                Reason::TooLarge,
                format!("`{name}` has {count} members, more than the {MAX_VALUES} allowed"),
            ))
        }
        Some(other) => {
            let detail = format!(
                "`{name}` is {}: send an object with one member for each measurement",
                other.kind()
            );
            Err((Reason::WrongType, detail))
        }
    }
}

pub(super) fn number(measurement: &str, node: &Node<'_>) -> Result<f64, Wrong> {
    if measurement.is_empty() {
        return Err((
            Reason::BadName,
            "a member of `values` has an empty name: name what was measured".to_owned(),
        ));
    }
    let name = shown(measurement);
    match node {
        Node::Integer(number) => Ok(*number as f64),
        Node::Float(number) if number.is_finite() => Ok(*number),
        Node::Float(_) => Err((
            Reason::NotFinite,
            format!("the value of `{name}` is not finite: leave it out"),
        )),
        Node::Beyond(text) => {
            let text = shown(text);
            Err((
                Reason::NotFinite,
                format!(
                    "the value of `{name}`, {text}, is beyond the range of numbers: leave it out"
                ),
            ))
        }
        Node::Text(text) => Err(number_in_quotes(&name, text)),
        Node::Bool(_) => Err((
            Reason::NotANumber,
            format!("the value of `{name}` is a boolean: send 1 or 0"),
        )),
        other @ (Node::Null | Node::Array | Node::Object(_)) => {
            let detail = format!(
                "the value of `{name}` is {}: send a number, or leave it out",
                other.kind()
            );
            Err((Reason::NotANumber, detail))
        }
    }
}

fn number_in_quotes(name: &str, text: &str) -> Wrong {
    let shown = shown(text);
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let bare = text.trim();
            (
                Reason::NumberAsString,
                format!(
                    "the value of `{name}` is the string \"{shown}\": send the bare number {bare}"
                ),
            )
        }
        Ok(_) => (
            Reason::NotFinite,
            format!("the value of `{name}` is \"{shown}\": leave it out"),
        ),
        Err(_) => (
            Reason::NotANumber,
            format!(
                "the value of `{name}` is the string \"{shown}\": send a number, or leave it out"
            ),
        ),
    }
}
