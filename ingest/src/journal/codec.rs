//! One block of records as bytes. Owns the layout that [the journal](super) describes; knows nothing of
//! files. Foreign bytes never panic: they are refused with a reason.

use std::collections::HashMap;

use citywatch_model::{
    Body, LinkState, Name, Observation, Position, Record, RegistryChange, RulesInForce, Time,
    Value, name,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("{0} bytes are too few for a block")]
    Short(usize),
    #[error("block version {0} is not known: it was written by a newer citywatch, use that one")]
    Version(u8),
    #[error("the checksum does not fit the content")]
    Checksum,
    #[error("the content does not fit the format: {0}")]
    Content(String),
    #[error("a registry change or rule set cannot be written: {0}")]
    Unwritable(String),
}

/// Names are written once a block; times are differences to the clock, and the clock a step from the
/// record before.
#[derive(Serialize, Deserialize)]
struct WireBlock<'a> {
    clock: i64,
    #[serde(borrow)]
    names: Vec<&'a str>,
    #[serde(borrow)]
    entries: Vec<WireEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    step: u64,
    #[serde(borrow)]
    body: WireBody<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireBody<'a> {
    Observation {
        sensor: u32,
        time: i64,
        arrival: i64,
        flags: u8,
        values: SmallVec<[WireValue; 1]>,
    },
    Tick,
    Start,
    Link {
        link: u32,
        up: bool,
    },
    /// Rare and deeply structured, so as JSON: the words in it stay readable by later versions.
    Registry(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Rules(#[serde(borrow)] std::borrow::Cow<'a, str>),
}

#[derive(Serialize, Deserialize)]
struct WireValue {
    measurement: u32,
    value: f64,
    unit: u32,
}

#[derive(Default)]
struct Dictionary {
    names: Vec<&'static str>,
    places: HashMap<Name, u32>,
}

impl Dictionary {
    fn place(&mut self, name: Name) -> u32 {
        *self.places.entry(name).or_insert_with(|| {
            self.names.push(name.as_str());
            // a block holds at most a few times BLOCK_RECORDS names
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// The bytes of a block; `records` must not be empty, and their positions follow each other.
pub(crate) fn encode(records: &[Record]) -> Result<Vec<u8>, CodecError> {
    let mut dictionary = Dictionary::default();
    let start = records.first().map_or(0, |record| record.clock.millis());
    let mut clock = start;
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        let now = record.clock.millis();
        let step = u64::try_from(now - clock)
            .map_err(|_| CodecError::Content("the clock falls".to_owned()))?;
        entries.push(WireEntry {
            step,
            body: wire_body(&record.body, now, &mut dictionary)?,
        });
        clock = now;
    }
    let block = WireBlock {
        clock: start,
        names: dictionary.names,
        entries,
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 32 + 24 * records.len());
    bytes.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let mut bytes = postcard::to_extend(&block, bytes)
        .map_err(|error| CodecError::Content(error.to_string()))?;
    let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Whether the journal could read `body` again. Only registries and rules can fail: JSON has no word for a
/// number that is not finite, nor for a negative duration.
pub(crate) fn check(body: &Body) -> Result<(), CodecError> {
    if matches!(body, Body::Registry(_) | Body::Rules(_)) {
        let wire = wire_body(body, 0, &mut Dictionary::default())?;
        let read =
            model_body(wire, 0, &[]).map_err(|error| CodecError::Unwritable(error.to_string()))?;
        if read != *body {
            return Err(CodecError::Unwritable(
                "it reads differently once written".to_owned(),
            ));
        }
    }
    Ok(())
}

fn wire_body<'a>(
    body: &Body,
    clock: i64,
    dictionary: &mut Dictionary,
) -> Result<WireBody<'a>, CodecError> {
    let unwritable = |error: serde_json::Error| CodecError::Unwritable(error.to_string());
    Ok(match body {
        Body::Observation(observation) => WireBody::Observation {
            sensor: dictionary.place(observation.sensor),
            time: observation.time.millis() - clock,
            arrival: observation.arrival.millis() - clock,
            flags: observation.flags,
            values: observation
                .values
                .iter()
                .map(|value| WireValue {
                    measurement: dictionary.place(value.measurement),
                    value: value.value,
                    unit: dictionary.place(value.unit),
                })
                .collect(),
        },
        Body::Tick => WireBody::Tick,
        Body::Start => WireBody::Start,
        Body::Link { link, state } => WireBody::Link {
            link: dictionary.place(*link),
            up: *state == LinkState::Up,
        },
        Body::Registry(change) => {
            WireBody::Registry(serde_json::to_string(&**change).map_err(unwritable)?.into())
        }
        Body::Rules(rules) => {
            WireBody::Rules(serde_json::to_string(&**rules).map_err(unwritable)?.into())
        }
    })
}

/// The records of a block whose first one stands at `first`.
pub(crate) fn decode(first: Position, bytes: &[u8]) -> Result<Vec<Record>, CodecError> {
    let (header, content) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or(CodecError::Short(bytes.len()))?;
    if header[0] != VERSION {
        return Err(CodecError::Version(header[0]));
    }
    if header[1..] != crc32fast::hash(content).to_le_bytes() {
        return Err(CodecError::Checksum);
    }
    let block: WireBlock<'_> =
        postcard::from_bytes(content).map_err(|error| CodecError::Content(error.to_string()))?;
    let names: Vec<Name> = block.names.iter().map(|text| name(text)).collect();
    let mut clock = block.clock;
    let mut records = Vec::with_capacity(block.entries.len());
    for (entry, position) in block.entries.into_iter().zip(first..) {
        clock = clock.saturating_add_unsigned(entry.step);
        let body = model_body(entry.body, clock, &names)?;
        records.push(Record {
            position,
            clock: Time::from_millis(clock),
            body,
        });
    }
    Ok(records)
}

fn model_body(wire: WireBody<'_>, clock: i64, names: &[Name]) -> Result<Body, CodecError> {
    let named = |place: u32| {
        let found = names.get(place as usize).copied();
        found.ok_or_else(|| {
            CodecError::Content(format!("name {place} of {} is missing", names.len()))
        })
    };
    let unreadable = |error: serde_json::Error| CodecError::Content(error.to_string());
    Ok(match wire {
        WireBody::Observation {
            sensor,
            time,
            arrival,
            flags,
            values,
        } => Body::Observation(Observation {
            sensor: named(sensor)?,
            time: Time::from_millis(clock.saturating_add(time)),
            arrival: Time::from_millis(clock.saturating_add(arrival)),
            flags,
            values: values
                .into_iter()
                .map(|wire| {
                    Ok(Value {
                        measurement: named(wire.measurement)?,
                        value: wire.value,
                        unit: named(wire.unit)?,
                    })
                })
                .collect::<Result<_, CodecError>>()?,
        }),
        WireBody::Tick => Body::Tick,
        WireBody::Start => Body::Start,
        WireBody::Link { link, up } => Body::Link {
            link: named(link)?,
            state: if up { LinkState::Up } else { LinkState::Down },
        },
        WireBody::Registry(json) => {
            let change: RegistryChange = serde_json::from_str(&json).map_err(unreadable)?;
            Body::Registry(change.into())
        }
        WireBody::Rules(json) => {
            let rules: RulesInForce = serde_json::from_str(&json).map_err(unreadable)?;
            Body::Rules(rules.into())
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use citywatch_model::Sensor;
    use proptest::prelude::*;

    use super::*;
    use crate::journal::testing::arbitrary_body;

    fn records(bodies: Vec<(u32, Body)>) -> Vec<Record> {
        let mut clock = Time::from_millis(1_790_000_000_000);
        bodies
            .into_iter()
            .zip(41..)
            .map(|((step, body), position)| {
                clock = clock + citywatch_model::Duration::from_millis(i64::from(step));
                Record {
                    position,
                    clock,
                    body,
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bodies in prop::collection::vec((any::<u32>(), arbitrary_body()), 1..40)) {
            let records = records(bodies);
            let bytes = encode(&records).unwrap();
            prop_assert_eq!(decode(41, &bytes).unwrap(), records);
        }

        #[test]
        fn damaged_bytes_are_refused(
            bodies in prop::collection::vec((any::<u32>(), arbitrary_body()), 1..8),
            place in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut bytes = encode(&records(bodies)).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
            prop_assert!(decode(41, &bytes).is_err());
            bytes[place] ^= flip;
            prop_assert!(decode(41, &bytes[..place]).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = vec![VERSION];
            bytes.extend(crc32fast::hash(&content).to_le_bytes());
            bytes.extend(content);
            // whatever passes is a well-formed block by chance; the point is to come back
            drop(decode(1, &bytes));
        }
    }

    #[test]
    fn a_reading_costs_few_bytes() {
        let one = |i: u32| {
            let mut body = crate::journal::testing::reading("gas-00042", 1.25);
            let Body::Observation(observation) = &mut body else {
                unreachable!()
            };
            observation.sensor = name(&format!("gas-{:05}", i % 100));
            (1, body)
        };
        let bytes = encode(&records((0..10_000).map(one).collect())).unwrap();
        assert!(
            bytes.len() / 10_000 <= 30,
            "{} bytes a reading",
            bytes.len() / 10_000
        );
    }

    #[test]
    fn a_body_that_could_not_be_read_again_is_refused() {
        let place = |latitude| Sensor {
            place: Some((latitude, 0.0)),
            ..Sensor::unknown(name("s"))
        };
        let body = |sensor| {
            Body::Registry(Arc::new(RegistryChange {
                upsert: vec![sensor],
                ..RegistryChange::default()
            }))
        };
        assert_eq!(check(&body(place(1.5))), Ok(()));
        let error = check(&body(place(f64::NAN))).unwrap_err().to_string();
        assert!(
            error.starts_with("a registry change or rule set cannot be written"),
            "{error}"
        );
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = encode(&records(vec![(0, Body::Tick)])).unwrap();
        bytes[0] = 9;
        assert_eq!(decode(1, &bytes), Err(CodecError::Version(9)));
    }
}
