//! Payload formats. A decoder turns the bytes of one message into observations and rejections; it borrows
//! from the payload, interns nothing, asks no clock and never panics. What a reading means (unknown sensor,
//! future time, range) is decided by the intake, not here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use citywatch_model::{Registry, Time};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::rejected::Rejection;

mod citywatch;
mod json;
mod senml;

pub(crate) use citywatch::DEFAULT_MEASUREMENT;
pub(crate) use citywatch::plain::{number as plain_number, reading as plain_reading};

/// Largest payload that is decoded unless the configuration says otherwise.
pub const DEFAULT_MAX_PAYLOAD: usize = 256 * 1024;

/// The formats that payloads may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Citywatch JSON, the native payload.
    #[default]
    Citywatch,
    /// SenML JSON, RFC 8428.
    Senml,
}

/// Why a text names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a payload format: write citywatch or senml")]
pub struct UnknownFormat {
    /// The text as it came.
    pub text: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        match text {
            "citywatch" => Ok(Format::Citywatch),
            "senml" => Ok(Format::Senml),
            _ => Err(UnknownFormat {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Citywatch => "citywatch",
            Format::Senml => "senml",
        })
    }
}

/// What is known about a message besides its payload.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The sensor that the topic names; the payload's own `sensor` comes first.
    pub sensor: Option<&'a str>,
    /// The measurement that the topic names; the payload's own `measurement` comes first.
    pub measurement: Option<&'a str>,
    /// When the message arrived.
    pub arrival: Time,
    /// Tells the only measurement of a sensor whose payload names none.
    pub registry: &'a Registry,
    /// A longer payload is rejected whole, in bytes.
    pub max_payload: usize,
}

/// One value as the payload gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedValue<'a> {
    /// Never empty.
    pub measurement: Cow<'a, str>,
    /// Always finite.
    pub value: f64,
    /// Empty if the payload named none.
    pub unit: Cow<'a, str>,
}

/// One observation as the payload gave it: names are not yet checked for length, nor interned.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedObservation<'a> {
    /// Its place in the payload's array; `None` if the payload was a single object.
    pub index: Option<usize>,
    /// Never empty.
    pub sensor: Cow<'a, str>,
    /// `None` if the payload named no time.
    pub time: Option<Time>,
    /// At least one; no measurement twice.
    pub values: SmallVec<[DecodedValue<'a>; 1]>,
}

/// All that one payload gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded<'a> {
    /// In the order of the payload.
    pub observations: SmallVec<[DecodedObservation<'a>; 1]>,
    /// What could not be taken, in the order of the payload.
    pub rejected: Vec<Rejection>,
}

/// Decodes one payload. Whatever can be kept is kept: a bad element of an array, or a bad value of
/// `values`, rejects only itself.
#[must_use]
pub fn decode<'a>(format: Format, payload: &'a [u8], context: &Context<'a>) -> Decoded<'a> {
    match format {
        Format::Citywatch => citywatch::decode(payload, context),
        Format::Senml => senml::decode(payload, context),
    }
}
