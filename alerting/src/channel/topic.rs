//! MQTT topics with placeholders. Whatever a warning holds, what comes out can be published to.

use std::fmt;
use std::str::FromStr;

use crate::warning::Warning;

/// A topic such as `citywatch/cap/{hazard}/{level}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Hazard,
    Level,
    Status,
    Kind,
    Rule,
    Sensor,
    Department,
}

const FIELDS: [(&str, Field); 7] = [
    ("hazard", Field::Hazard),
    ("level", Field::Level),
    ("status", Field::Status),
    ("kind", Field::Kind),
    ("rule", Field::Rule),
    ("sensor", Field::Sensor),
    ("department", Field::Department),
];
/// The protocol allows 65,535; values that are filled in may take the rest.
const MAX_BYTES: usize = 1_024;

/// Why a text is not a topic to publish to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing, or far too much.
    #[error("the topic has {0} bytes: write between 1 and 1024")]
    Length(usize),
    /// A wildcard, a control character, or a topic of the broker's own.
    #[error(
        "the topic `{topic}` holds {wrong:?}: a topic to publish to has no `+`, `#` or control characters and does not begin with `$`"
    )]
    Letter {
        /// As it came.
        topic: String,
        /// The first character that cannot stand.
        wrong: char,
    },
    /// No such field.
    #[error(
        "the topic `{topic}` names `{{{name}}}`: the fields are {{hazard}}, {{level}}, {{status}}, {{kind}}, {{rule}}, {{sensor}} and {{department}}"
    )]
    Field {
        /// As it came.
        topic: String,
        /// What stands in the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("the topic `{topic}` has a brace without its partner: write fields as {{hazard}}")]
    Brace {
        /// As it came.
        topic: String,
    },
}

impl FromStr for TopicTemplate {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<TopicTemplate, TopicError> {
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(TopicError::Length(text.len()));
        }
        let foreign = |c: &char| matches!(c, '+' | '#') || c.is_control();
        let wrong = text
            .chars()
            .find(foreign)
            .or_else(|| text.chars().next().filter(|c| *c == '$'));
        if let Some(wrong) = wrong {
            return Err(TopicError::Letter {
                topic: text.to_owned(),
                wrong,
            });
        }
        Ok(TopicTemplate {
            text: text.to_owned(),
            parts: parts(text)?,
        })
    }
}

fn parts(text: &str) -> Result<Vec<Part>, TopicError> {
    let lonely = || TopicError::Brace {
        topic: text.to_owned(),
    };
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (before, braces) = rest.split_at(start);
        let inner = braces.strip_prefix('{').ok_or_else(lonely)?;
        let (name, after) = inner.split_once('}').ok_or_else(lonely)?;
        let (_, field) = FIELDS
            .iter()
            .find(|(word, _)| *word == name)
            .ok_or_else(|| TopicError::Field {
                topic: text.to_owned(),
                name: name.to_owned(),
            })?;
        parts.extend([Part::Text(before.to_owned()), Part::Field(*field)]);
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

impl TopicTemplate {
    /// Where CAP messages go if a contact names no topic.
    pub const DEFAULT: &str = "citywatch/cap/{hazard}/{level}";

    /// The topic of one message.
    #[must_use]
    pub fn fill(&self, warning: &Warning, department: &str) -> String {
        let value = |field: Field| match field {
            Field::Hazard => level_of(warning.hazard.as_str()),
            Field::Level => warning.level.word().to_owned(),
            Field::Status => warning.status.cap().to_ascii_lowercase(),
            Field::Kind => warning.kind.word().to_owned(),
            Field::Rule => level_of(warning.cause.rule.as_str()),
            Field::Sensor => level_of(warning.cause.sensor.as_str()),
            Field::Department => level_of(department),
        };
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field(field) => value(*field),
            })
            .collect()
    }
}

/// `text` as exactly one level of a topic; an empty one reads `other`.
fn level_of(text: &str) -> String {
    if text.is_empty() {
        return "other".to_owned();
    }
    let foreign = |c: char| matches!(c, '/' | '+' | '#' | '$') || c.is_control();
    text.chars()
        .take(128)
        .map(|c| if foreign(c) { '_' } else { c })
        .collect()
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
