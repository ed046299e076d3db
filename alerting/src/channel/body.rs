//! The JSON that a webhook carries, `{"type", "timestamp", "data"}` as Standard Webhooks lays it out. Its fields are
//! a contract with the departments' own programs: add, never rename.
//!
//! `type` is `warning.issued`, `.updated`, `.lifted`, `.corrected` or `.withdrawn`; `timestamp` is when it was sent.
//! `data` holds the warning; times are RFC 3339 in UTC, places are WGS 84 with latitude first, `cap` is the whole CAP
//! 1.2 message. A body stays below 20,000 bytes where it can: a longer one leaves `cap` out (null) if `cap_url`
//! says where to fetch it.

use citywatch_model::{Name, Text, Time};
use serde::Serialize;

use super::{Recipient, SendOrder};
use crate::cap::{Language, Severity, event};
use crate::warning::{Area, Reference, Status};

/// What Standard Webhooks advises.
const ADVISED_BYTES: usize = 20_000;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Time,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    identifier: &'a str,
    sender: &'a str,
    sender_name: &'a Text,
    message_type: &'static str,
    status: Status,
    exercise: Option<&'a str>,
    note: Option<&'a str>,
    level: &'static str,
    colour: Words,
    grade: Words,
    hazard: Name,
    event: Text,
    headline: &'a Text,
    description: &'a Text,
    instruction: &'a Text,
    area: &'a Area,
    alert: &'a str,
    rule: Name,
    sensor: Name,
    measurement: Name,
    value: Option<f64>,
    unit: Name,
    sent: Time,
    expires: Time,
    references: &'a [Reference],
    cap_url: Option<&'a str>,
    cap: Option<&'a str>,
    recipient: &'a Recipient,
}

/// The same in the words of both languages.
#[derive(Serialize)]
struct Words {
    zh: &'static str,
    en: &'static str,
}

/// The bytes to be signed and sent.
pub(super) fn body(order: &SendOrder) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = body_of(order);
    let bytes = serde_json::to_vec(&body)?;
    if bytes.len() < ADVISED_BYTES || body.data.cap_url.is_none() {
        return Ok(bytes);
    }
    body.data.cap = None;
    serde_json::to_vec(&body)
}

fn body_of(order: &SendOrder) -> Body<'_> {
    let warning = &*order.warning;
    let severity = Severity(warning.level);
    let cause = &warning.cause;
    Body {
        kind: format!("warning.{}", warning.kind.word()),
        timestamp: warning.sent,
        data: Data {
            identifier: &warning.identifier,
            sender: &warning.sender,
            sender_name: &warning.sender_name,
            message_type: warning.kind.cap(),
            status: warning.status,
            exercise: warning.exercise.as_deref(),
            note: warning.note.as_deref(),
            level: warning.level.word(),
            colour: Words {
                zh: warning.level.zh(),
                en: warning.level.word(),
            },
            grade: Words {
                zh: severity.zh(),
                en: severity.cap(),
            },
            hazard: warning.hazard,
            event: Text {
                zh: event(warning, Language::Chinese),
                en: event(warning, Language::English),
            },
            headline: &warning.headline,
            description: &warning.description,
            instruction: &warning.instruction,
            area: &warning.area,
            alert: &cause.alert_id,
            rule: cause.rule,
            sensor: cause.sensor,
            measurement: cause.measurement,
            value: cause.value,
            unit: cause.unit,
            sent: warning.sent,
            expires: warning.expires,
            references: &warning.references,
            cap_url: warning.cap_url.as_deref(),
            cap: Some(&order.cap_xml),
            recipient: &order.recipient,
        },
    }
}
