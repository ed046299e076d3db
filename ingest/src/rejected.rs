//! Why a payload, or a part of it, was not taken. The reasons are a small closed list: their words are
//! metric labels and appear in the API, so a word once published never changes its meaning.

use std::fmt;

use citywatch_model::Time;
use serde::{Deserialize, Serialize};

/// Payload bytes kept of a rejected message; the rest is only counted.
pub const KEPT_PAYLOAD_BYTES: usize = 4 * 1024;

/// Rejections kept of one message; the rest is only counted.
pub const KEPT_REJECTIONS: usize = 20;

/// Why something was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The payload has no bytes, or an array or `values` has no members.
    Empty,
    /// The payload, or the number of readings in it, is above the limit.
    TooLarge,
    /// The bytes are not UTF-8 (GBK, for example).
    NotUtf8,
    /// The bytes are not JSON.
    MalformedJson,
    /// An object was needed and something else came.
    NotAnObject,
    /// A known field has a value of the wrong type.
    WrongType,
    /// The same key stands twice in one object.
    DuplicateKey,
    /// Neither payload nor topic names the sensor.
    NoSensor,
    /// There is neither `value` nor `values`.
    NoValue,
    /// A value is not a number (null, true, an object).
    NotANumber,
    /// A number stands in quotes.
    NumberAsString,
    /// A number is too large to be finite.
    NotFinite,
    /// The event time cannot be read.
    BadTime,
    /// A name is longer than its limit.
    NameTooLong,
    /// A name is empty or has control characters.
    BadName,
    /// The topic fits no template.
    UnknownTopic,
    /// More distinct sensors that no registry names than are kept apart.
    TooManyUnknownSensors,
    /// More distinct measurements or units than are kept apart.
    TooManyNames,
    /// One record gives several values of which only one can be meant.
    SeveralValues,
    /// The payload says that it needs a newer reader, or an extension that this one does not know.
    Unsupported,
    /// A broker kept the message from some earlier time, and it does not say from when.
    RetainedWithoutTime,
    /// A unit stands under a key that means nothing here.
    BadUnit,
}

impl Reason {
    /// All reasons, in the order of the enum.
    pub const ALL: [Reason; 22] = [
        Reason::Empty,
        Reason::TooLarge,
        Reason::NotUtf8,
        Reason::MalformedJson,
        Reason::NotAnObject,
        Reason::WrongType,
        Reason::DuplicateKey,
        Reason::NoSensor,
        Reason::NoValue,
        Reason::NotANumber,
        Reason::NumberAsString,
        Reason::NotFinite,
        Reason::BadTime,
        Reason::NameTooLong,
        Reason::BadName,
        Reason::UnknownTopic,
        Reason::TooManyUnknownSensors,
        Reason::TooManyNames,
        Reason::SeveralValues,
        Reason::Unsupported,
        Reason::RetainedWithoutTime,
        Reason::BadUnit,
    ];

    /// The stable word, such as `malformed_json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::NotUtf8 => "not_utf8",
            Reason::MalformedJson => "malformed_json",
            Reason::NotAnObject => "not_an_object",
            Reason::WrongType => "wrong_type",
            Reason::DuplicateKey => "duplicate_key",
            Reason::NoSensor => "no_sensor",
            Reason::NoValue => "no_value",
            Reason::NotANumber => "not_a_number",
            Reason::NumberAsString => "number_as_string",
            Reason::NotFinite => "not_finite",
            Reason::BadTime => "bad_time",
            Reason::NameTooLong => "name_too_long",
            Reason::BadName => "bad_name",
            Reason::UnknownTopic => "unknown_topic",
            Reason::TooManyUnknownSensors => "too_many_unknown_sensors",
            Reason::TooManyNames => "too_many_names",
            Reason::SeveralValues => "several_values",
            Reason::Unsupported => "unsupported",
            Reason::RetainedWithoutTime => "retained_without_time",
            Reason::BadUnit => "bad_unit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The element of the payload's array, counted from 0; `None` if the payload is no array or was
    /// rejected whole.
    pub index: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// What was wrong, where (line, column, field), and what to send instead.
    pub detail: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "element {index}: {}: {}", self.reason, self.detail),
            None => write!(f, "{}: {}", self.reason, self.detail),
        }
    }
}

/// A message of which at least a part was rejected, as it is kept for people to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedPayload {
    /// When it arrived.
    pub time: Time,
    /// `broker`, `http` or `link`.
    pub door: String,
    /// Client id or peer address.
    pub source: String,
    /// Where it was published; absent for HTTP.
    pub topic: Option<String>,
    /// At most [`KEPT_PAYLOAD_BYTES`], bytes that are not UTF-8 replaced; ends in a note if it was cut.
    pub payload: String,
    /// Length of the whole payload.
    pub payload_bytes: usize,
    /// The first [`KEPT_REJECTIONS`].
    pub rejections: Vec<Rejection>,
    /// How many there were.
    pub rejection_count: usize,
}

/// The payload as text for people: cut to [`KEPT_PAYLOAD_BYTES`] with a note of the full length.
#[must_use]
pub fn payload_text(payload: &[u8]) -> String {
    let kept = &payload[..payload.len().min(KEPT_PAYLOAD_BYTES)];
    let mut text = String::from_utf8_lossy(kept).into_owned();
    if kept.len() < payload.len() {
        text.push_str(&format!("… [cut; {} bytes in all]", payload.len()));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_the_api_shows() {
        for reason in Reason::ALL {
            assert_eq!(
                serde_json::to_string(&reason).unwrap(),
                format!("\"{}\"", reason.word())
            );
        }
    }

    #[test]
    fn a_long_payload_is_cut_and_says_so() {
        assert_eq!(payload_text(b"abc"), "abc");
        assert_eq!(payload_text(&[0xff, b'a']), "\u{fffd}a");
        let text = payload_text(&vec![b'x'; 5_000]);
        assert!(text.ends_with("x… [cut; 5000 bytes in all]"), "{text}");
        assert_eq!(text.matches('x').count(), KEPT_PAYLOAD_BYTES);
    }
}
