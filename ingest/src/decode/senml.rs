//! SenML JSON (RFC 8428): a pack is an array of records; base fields hold for their record and those after it.
//! Adjacent records of one sensor and one time are one observation.
//!
//! Names: a base name `bn` names the sensor and `n` the measurement, separators between them left out
//! (`urn:dev:ow:10e2073a:` and `voltage`). With `n` alone the sensor is that of the topic, else the longest part of
//! the name up to a separator that the registry knows, else the whole name. A name that the registry holds as a
//! sensor is always the sensor. Where no measurement is named it is the topic's, else the only one that the registry
//! gives, else `value`.
//!
//! Values: `vb` counts as 1 and 0; texts and data (`vs`, `vd`) are rejected; a sum `s` becomes a value of its own,
//! `MEASUREMENT_sum` in `UNIT.s`. The units `/` and `%` are ratios in SenML: both become `1`.

use serde_json::value::RawValue;

use super::citywatch::message::{malformed, not_an_object, whole};
use super::citywatch::text_of;
use super::json::Node;
use super::{Context, Decoded, DecodedObservation, DecodedValue};
use crate::rejected::{Reason, Rejection};

mod names;
mod record;
#[cfg(test)]
mod tests;

use record::{Base, Record, Resolved, Wrong};

/// What a pack may hold.
const EXAMPLE: &str = r#"{"n":"g-1:methane","u":"%","v":1.2}"#;
/// Values that one observation may hold; keeps the search for repeated names short.
const MAX_VALUES: usize = 1_000;

pub(super) fn decode<'a>(payload: &'a [u8], context: &Context<'a>) -> Decoded<'a> {
    let mut decoded = Decoded::default();
    if let Err(rejection) = decode_into(&mut decoded, payload, context) {
        decoded.observations.clear();
        decoded.rejected.push(rejection);
    }
    decoded
}

fn decode_into<'a>(
    decoded: &mut Decoded<'a>,
    payload: &'a [u8],
    context: &Context<'a>,
) -> Result<(), Rejection> {
    let text = text_of(payload, context.max_payload)?;
    if text.is_empty() {
        let detail = "the payload is empty: send an array of SenML records";
        return Err(whole(Reason::Empty, detail.to_owned()));
    }
    let pieces: Vec<&'a RawValue> = serde_json::from_str(text).map_err(|error| {
        // an object or a number alone is JSON, but no pack
        match serde_json::from_str::<Node<'_>>(text) {
            Ok(node) => no_pack(&node),
            Err(_) => malformed(text, &error),
        }
    })?;
    if pieces.is_empty() {
        let detail = "the array is empty: send at least one record";
        return Err(whole(Reason::Empty, detail.to_owned()));
    }
    let records: Vec<Result<Record<'a>, Node<'a>>> = pieces
        .into_iter()
        .map(|piece| match Node::read_carefully(piece.get()) {
            Node::Object(fields) => Ok(Record::new(fields)),
            other => Err(other),
        })
        .collect();
    for record in records.iter().flatten() {
        record
            .check_pack()
            .map_err(|(reason, detail)| whole(reason, detail))?;
    }
    take_all(decoded, records, context);
    Ok(())
}

fn no_pack(node: &Node<'_>) -> Rejection {
    let detail = format!(
        "the payload is {}: send an array of SenML records",
        node.kind()
    );
    whole(Reason::WrongType, detail)
}

fn take_all<'a>(
    decoded: &mut Decoded<'a>,
    records: Vec<Result<Record<'a>, Node<'a>>>,
    context: &Context<'a>,
) {
    let mut base = Base::default();
    let count = records.len();
    for (index, record) in records.into_iter().enumerate() {
        let mut record = match record {
            Ok(record) => record,
            Err(node) => {
                let rejection = not_an_object("the record", Some(index), &node, EXAMPLE);
                decoded.rejected.push(rejection);
                continue;
            }
        };
        if let Err((reason, detail)) = base.update(&mut record) {
            let after = count - index - 1;
            let detail = format!(
                "{detail}; neither this record nor the {after} after it are taken, since their base is not known"
            );
            decoded.rejected.push(rejection(index, (reason, detail)));
            return;
        }
        if record.is_base_only() {
            continue;
        }
        match record.resolve(&base, context) {
            Ok(resolved) => add(decoded, index, resolved),
            Err(wrong) => decoded.rejected.push(rejection(index, wrong)),
        }
    }
}

fn rejection(index: usize, (reason, detail): Wrong) -> Rejection {
    Rejection {
        index: Some(index),
        reason,
        detail,
    }
}

/// Adds values to the observation that they belong to, which can only be the newest one.
fn add<'a>(decoded: &mut Decoded<'a>, index: usize, resolved: Resolved<'a>) {
    let wrong = resolved.wrong.into_iter();
    decoded
        .rejected
        .extend(wrong.map(|wrong| rejection(index, wrong)));
    for value in resolved.values {
        let newest = decoded
            .observations
            .last_mut()
            .filter(|newest| newest.sensor == resolved.sensor && newest.time == resolved.time);
        let Some(newest) = newest.filter(|newest| newest.values.len() < MAX_VALUES) else {
            decoded.observations.push(DecodedObservation {
                index: Some(index),
                sensor: resolved.sensor.clone(),
                time: resolved.time,
                values: smallvec::smallvec![value],
            });
            continue;
        };
        let held = newest
            .values
            .iter()
            .find(|held| held.measurement == value.measurement);
        match held {
            None => newest.values.push(value),
            Some(held) => decoded.rejected.push(twice(index, held, &value)),
        }
    }
}

fn twice(index: usize, held: &DecodedValue<'_>, value: &DecodedValue<'_>) -> Rejection {
    let name = &value.measurement;
    let detail = if held.unit == value.unit {
        format!("`{name}` has a value of the same time already: the first value is kept")
    } else {
        format!(
            "`{name}` has a value of the same time in another unit already: give each quantity a name of its own"
        )
    };
    Rejection {
        index: Some(index),
        reason: Reason::SeveralValues,
        detail,
    }
}
