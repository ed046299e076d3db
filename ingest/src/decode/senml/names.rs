//! Which part of a SenML name is the sensor and which the measurement.

use std::borrow::Cow;

use citywatch_model::{Name, Registry};

use crate::decode::Context;
use crate::decode::citywatch::{DEFAULT_MEASUREMENT, only_measurement};

/// What may stand between the name of a device and that of what it measures.
const SEPARATORS: [char; 5] = [':', '/', '.', '-', '_'];

/// Sensor, and measurement if the name tells one.
type Split<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// Whether `name` has only characters that RFC 8428 allows.
pub(super) fn is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-:./_".contains(&byte);
    name.bytes().all(allowed) && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// The sensor and measurement of a record; `None` if nothing names a sensor. At most one of `base` and `name`
/// is empty.
pub(super) fn split<'a>(
    base: &Cow<'a, str>,
    name: &Cow<'a, str>,
    context: &Context<'a>,
) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let (sensor, measurement) = parts(base, name, context)?;
    let measurement = measurement
        .or(context.measurement.map(Cow::Borrowed))
        .or_else(|| only_measurement(context.registry, &sensor).map(Cow::Borrowed))
        .unwrap_or(Cow::Borrowed(DEFAULT_MEASUREMENT));
    Some((sensor, measurement))
}

fn parts<'a>(base: &Cow<'a, str>, name: &Cow<'a, str>, context: &Context<'a>) -> Option<Split<'a>> {
    let whole = joined(base, name);
    if is_sensor(context.registry, &whole) {
        return Some((whole, None));
    }
    match (base.is_empty(), name.is_empty()) {
        (true, true) => context.sensor.map(|sensor| (Cow::Borrowed(sensor), None)),
        (false, true) => Some((trimmed(whole), None)),
        (false, false) => {
            let measurement = name.trim_start_matches(SEPARATORS);
            if measurement.is_empty() {
                return Some((trimmed(whole), None));
            }
            Some((
                trimmed(base.clone()),
                Some(Cow::Owned(measurement.to_owned())),
            ))
        }
        (true, false) => Some(match context.sensor {
            Some(sensor) => (Cow::Borrowed(sensor), Some(whole)),
            None => by_registry(&whole, context.registry).unwrap_or((whole, None)),
        }),
    }
}

fn joined<'a>(base: &Cow<'a, str>, name: &Cow<'a, str>) -> Cow<'a, str> {
    match (base.is_empty(), name.is_empty()) {
        (true, _) => name.clone(),
        (_, true) => base.clone(),
        (false, false) => Cow::Owned(format!("{base}{name}")),
    }
}

/// A name without the separator that leads on to a measurement.
fn trimmed(name: Cow<'_, str>) -> Cow<'_, str> {
    let length = name.trim_end_matches(SEPARATORS).len();
    match name {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(text) => Cow::Owned(text[..length].to_owned()),
    }
}

/// The longest part up to a separator that is a registered sensor, and what follows the separator.
fn by_registry<'a>(whole: &str, registry: &Registry) -> Option<Split<'a>> {
    let places = whole.rmatch_indices(SEPARATORS).map(|(place, _)| place);
    let mut known = places.filter(|place| is_sensor(registry, &whole[..*place]));
    let place = known.next()?;
    let measurement = whole[place..].trim_start_matches(SEPARATORS);
    let measurement = (!measurement.is_empty()).then(|| Cow::Owned(measurement.to_owned()));
    Some((Cow::Owned(whole[..place].to_owned()), measurement))
}

/// Foreign text is not interned for the question.
fn is_sensor(registry: &Registry, name: &str) -> bool {
    !registry.sensors.is_empty()
        && Name::from_existing(name).is_some_and(|id| registry.sensors.contains_key(&id))
}
