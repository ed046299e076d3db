//! Citywatch JSON, the native payload: `{"sensor":…,"ts":…,"measurement":…,"value":…,"unit":…}`, or
//! `"values":{…}` for several measurements of one moment, or an array of such objects. Keys that mean
//! nothing here are ignored; a key that means something but holds the wrong type never is.

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::json::{Element, Node, Object};
use super::{Context, Decoded, DecodedObservation, DecodedValue};
use crate::rejected::{Reason, Rejection};

mod fields;
pub(super) mod message;
pub(super) mod plain;

pub(crate) use fields::DEFAULT_MEASUREMENT;
pub(super) use fields::only_measurement;
use fields::{Wrong, head, number, values_of};
use message::{malformed, not_an_object, shown, whole};

/// What a sensor may send.
const EXAMPLE: &str = r#"{"sensor":"g-1","value":1.2}"#;
/// What JSON allows between its parts.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn decode<'a>(payload: &'a [u8], context: &Context<'a>) -> Decoded<'a> {
    let mut decoded = Decoded::default();
    if let Err(rejection) = decode_into(&mut decoded, payload, context) {
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
    match text.trim_start_matches(BLANKS).as_bytes().first() {
        None => Err(whole(
            Reason::Empty,
            "the payload is empty: send an object or an array of objects".to_owned(),
        )),
        Some(b'[') => decode_array(decoded, text, context),
        Some(b'{') => {
            if let Some(observation) = plain::observation(text, context) {
                decoded.observations.push(observation);
                return Ok(());
            }
            let object = serde_json::from_str(text).or_else(|_| Object::read_carefully(text));
            judge(
                decoded,
                None,
                object.map_err(|error| malformed(text, &error))?,
                context,
            );
            Ok(())
        }
        Some(_) => {
            let node: Node = serde_json::from_str(text).map_err(|error| malformed(text, &error))?;
            Err(not_an_object("the payload", None, &node, EXAMPLE))
        }
    }
}

/// The payload as text, without a byte order mark and blanks at its end.
pub(super) fn text_of(payload: &[u8], most: usize) -> Result<&str, Rejection> {
    if payload.len() > most {
        let bytes = payload.len();
        let detail = format!(
            "the payload has {bytes} bytes, more than the {most} allowed: send smaller arrays"
        );
        return Err(whole(Reason::TooLarge, detail));
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let text = std::str::from_utf8(payload).map_err(|error| {
        let byte = error.valid_up_to();
        let detail =
            format!("byte {byte} is not UTF-8: encode the payload as UTF-8, not as GBK or binary");
        whole(Reason::NotUtf8, detail)
    })?;
    Ok(text.trim_end_matches(BLANKS))
}

fn decode_array<'a>(
    decoded: &mut Decoded<'a>,
    text: &'a str,
    context: &Context<'a>,
) -> Result<(), Rejection> {
    let elements: Vec<Element<'a>> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(_) => {
            let pieces: Vec<&'a RawValue> =
                serde_json::from_str(text).map_err(|error| malformed(text, &error))?;
            pieces
                .into_iter()
                .map(|piece| Element::read_carefully(piece.get()))
                .collect()
        }
    };
    if elements.is_empty() {
        return Err(whole(
            Reason::Empty,
            "the array is empty: send at least one object".to_owned(),
        ));
    }
    decoded.observations.reserve(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        match element {
            Element::Object(object) => judge(decoded, Some(index), object, context),
            Element::Other(node) => {
                decoded
                    .rejected
                    .push(not_an_object("the element", Some(index), &node, EXAMPLE))
            }
        }
    }
    Ok(())
}

/// Takes from one object what can be taken and says what cannot.
fn judge<'a>(
    decoded: &mut Decoded<'a>,
    index: Option<usize>,
    mut object: Object<'a>,
    context: &Context<'a>,
) {
    let mut rejected = Rejected {
        index,
        list: &mut decoded.rejected,
    };
    let Some((sensor, time)) = rejected.keep(head(&mut object, context)) else {
        return;
    };
    let mut values = SmallVec::new();
    if let Some(all) = rejected.keep(values_of(&mut object, &sensor, context)) {
        for (measurement, node, unit) in all {
            if values
                .iter()
                .any(|taken: &DecodedValue| taken.measurement == measurement)
            {
                let name = shown(&measurement);
                let detail =
                    format!("`{name}` stands twice in one observation: the first value is kept");
                rejected.add(Reason::DuplicateKey, detail);
            } else if let Some((value, unit)) =
                rejected.keep(number(&measurement, &node).and_then(|v| Ok((v, unit?))))
            {
                values.push(DecodedValue {
                    measurement,
                    value,
                    unit,
                });
            }
        }
    }
    if !values.is_empty() {
        decoded.observations.push(DecodedObservation {
            index,
            sensor,
            time,
            values,
        });
    }
}

/// Rejections of one object.
struct Rejected<'r> {
    index: Option<usize>,
    list: &'r mut Vec<Rejection>,
}

impl Rejected<'_> {
    fn add(&mut self, reason: Reason, detail: String) {
        self.list.push(Rejection {
            index: self.index,
            reason,
            detail,
        });
    }

    fn keep<T>(&mut self, result: Result<T, Wrong>) -> Option<T> {
        result
            .map_err(|(reason, detail)| self.add(reason, detail))
            .ok()
    }
}

#[cfg(test)]
mod tests;
