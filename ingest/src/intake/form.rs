//! How a message is to be read: its format, and what its topic names. Decides nothing about the readings.

use super::{IntakeConfig, Message};
use crate::decode::Format;
use crate::rejected::{Reason, Rejection};
use crate::topic::Templates;

/// How a payload is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub enum Form<'a> {
    /// As the intake's own templates say of the topic; without a topic, in the intake's own format.
    #[default]
    Usual,
    /// In this format, whatever the topic.
    Format(Format),
    /// As the first of these templates that fits the topic says.
    Templates(&'a Templates),
}

/// What is known before the payload is looked at.
pub(super) struct Read<'a> {
    pub(super) format: Format,
    pub(super) sensor: Option<&'a str>,
    pub(super) measurement: Option<&'a str>,
}

impl<'a> Message<'a> {
    pub(super) fn read(&self, config: &IntakeConfig) -> Result<Read<'a>, Rejection> {
        let (templates, topic) = match (self.form, self.topic) {
            (Form::Format(format), _) => return Ok(nameless(format)),
            (Form::Usual | Form::Templates(_), None) => return Ok(nameless(config.format)),
            (Form::Usual, Some(topic)) => (&config.templates, topic),
            (Form::Templates(templates), Some(topic)) => (templates, topic),
        };
        let found = templates
            .find(topic)
            .ok_or_else(|| unknown_topic(templates, topic))?;
        Ok(Read {
            format: found.format,
            sensor: found.sensor,
            measurement: found.measurement,
        })
    }
}

fn nameless<'a>(format: Format) -> Read<'a> {
    Read {
        format,
        sensor: None,
        measurement: None,
    }
}

fn unknown_topic(templates: &Templates, topic: &str) -> Rejection {
    let texts: Vec<&str> = templates.texts().collect();
    let detail = format!(
        "topic `{topic}` fits no template: publish to one of {}, or add a template for it",
        texts.join(", ")
    );
    Rejection {
        index: None,
        reason: Reason::UnknownTopic,
        detail,
    }
}

/// A kept copy may be of yesterday: taken at its arrival it would raise or clear what it must not.
pub(super) fn retained(index: Option<usize>) -> Rejection {
    let detail = "the broker kept this message from some earlier time and it names none: send a time with each \
                  reading, or publish without the retain flag"
        .to_owned();
    Rejection {
        index,
        reason: Reason::RetainedWithoutTime,
        detail,
    }
}
