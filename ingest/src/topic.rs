//! Topic templates: which topics carry readings, in which format, and which level of the topic names the
//! sensor or the measurement. Matching allocates nothing; the first template that matches wins.

use crate::decode::Format;

/// The templates in force when the configuration names none.
pub const DEFAULT_TEMPLATES: [&str; 3] = [
    "citywatch/readings",
    "citywatch/readings/{sensor}",
    "citywatch/readings/{sensor}/{measurement}",
];

/// Why a text is not a topic template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing to match.
    #[error("a topic template is empty: write a topic such as {}", DEFAULT_TEMPLATES[1])]
    Empty,
    /// A level that is neither plain text nor a known placeholder.
    #[error(
        "topic template `{template}`: level `{level}` is not understood: write plain text, {{sensor}}, {{measurement}}, {{}} or + for a level to ignore, or # at the end"
    )]
    Level {
        /// The whole template.
        template: String,
        /// The level in question.
        level: String,
    },
    /// A placeholder that stands twice.
    #[error(
        "topic template `{template}`: {{{placeholder}}} stands twice: keep one and write + for the other level"
    )]
    Twice {
        /// The whole template.
        template: String,
        /// `sensor` or `measurement`.
        placeholder: &'static str,
    },
    /// `#` before the end.
    #[error(
        "topic template `{template}`: # may stand only at the end: write + for a single level to ignore"
    )]
    RestInside {
        /// The whole template.
        template: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Plain(String),
    Sensor,
    Measurement,
    Any,
}

/// One template, such as `citywatch/readings/{sensor}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    levels: Vec<Level>,
    rest: bool,
    format: Format,
}

/// What a topic told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched<'t> {
    /// The level under `{sensor}`; `None` if there is no such level, or it is empty.
    pub sensor: Option<&'t str>,
    /// The level under `{measurement}`; `None` if there is no such level, or it is empty.
    pub measurement: Option<&'t str>,
    /// The format of payloads on this topic.
    pub format: Format,
}

impl Template {
    /// Reads a template whose payloads have `format`.
    ///
    /// # Errors
    /// Names the level that is not understood and what to write instead.
    pub fn new(text: &str, format: Format) -> Result<Template, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let template = || text.to_owned();
        let (body, rest) = match text.strip_suffix('#') {
            Some("") => ("", true),
            Some(before) if before.ends_with('/') => (before.trim_end_matches('/'), true),
            _ => (text, false),
        };
        let mut levels = Vec::new();
        for level in body.split('/').filter(|_| !(rest && body.is_empty())) {
            let level = match level {
                "{sensor}" => Level::Sensor,
                "{measurement}" => Level::Measurement,
                "{}" | "+" => Level::Any,
                "#" => {
                    return Err(TemplateError::RestInside {
                        template: template(),
                    });
                }
                plain if plain.contains(['{', '}', '+', '#', '\0']) => {
                    return Err(TemplateError::Level {
                        template: template(),
                        level: plain.to_owned(),
                    });
                }
                plain => Level::Plain(plain.to_owned()),
            };
            levels.push(level);
        }
        for (level, placeholder) in [
            (Level::Sensor, "sensor"),
            (Level::Measurement, "measurement"),
        ] {
            if levels.iter().filter(|other| **other == level).count() > 1 {
                return Err(TemplateError::Twice {
                    template: template(),
                    placeholder,
                });
            }
        }
        Ok(Template {
            text: template(),
            levels,
            rest,
            format,
        })
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The MQTT filter that brings the topics of this template, and perhaps a few more: placeholders become `+`.
    #[must_use]
    pub fn filter(&self) -> String {
        let levels = self.levels.iter().map(|level| match level {
            Level::Plain(text) => text.as_str(),
            Level::Sensor | Level::Measurement | Level::Any => "+",
        });
        levels
            .chain(self.rest.then_some("#"))
            .collect::<Vec<_>>()
            .join("/")
    }

    /// What `topic` tells, if it matches.
    #[must_use]
    pub fn matches<'t>(&self, topic: &'t str) -> Option<Matched<'t>> {
        let mut found = Matched {
            sensor: None,
            measurement: None,
            format: self.format,
        };
        let mut levels = topic.split('/');
        for expected in &self.levels {
            let level = levels.next()?;
            let named = (!level.is_empty()).then_some(level);
            match expected {
                Level::Plain(text) if text == level => {}
                Level::Plain(_) => return None,
                Level::Sensor => found.sensor = named,
                Level::Measurement => found.measurement = named,
                Level::Any => {}
            }
        }
        (self.rest || levels.next().is_none()).then_some(found)
    }
}

/// Templates in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates(Vec<Template>);

impl Default for Templates {
    fn default() -> Templates {
        let templates = DEFAULT_TEMPLATES
            .iter()
            .map(|text| Template::new(text, Format::Citywatch));
        Templates(
            templates
                .collect::<Result<_, _>>()
                .expect("a test reads the default templates"),
        )
    }
}

impl Templates {
    /// Templates to be tried in this order.
    #[must_use]
    pub fn new(templates: Vec<Template>) -> Templates {
        Templates(templates)
    }

    /// What the first matching template finds in `topic`.
    #[must_use]
    pub fn find<'t>(&self, topic: &'t str) -> Option<Matched<'t>> {
        self.0.iter().find_map(|template| template.matches(topic))
    }

    /// The templates as they were written, for messages about a topic that matches none.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Template::text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn topics_tell_sensor_and_measurement() {
        for (template, topic, expected) in [
            ("a/b", "a/b", Some((None, None))),
            ("a/b", "a/b/c", None),
            ("a/b", "a", None),
            ("a/{sensor}", "a/井盖-7", Some((Some("井盖-7"), None))),
            ("a/{sensor}", "a/", Some((None, None))),
            (
                "a/{sensor}/{measurement}",
                "a/s/m",
                Some((Some("s"), Some("m"))),
            ),
            ("{}/+/{sensor}", "x/y/s", Some((Some("s"), None))),
            ("a/{sensor}/#", "a/s", Some((Some("s"), None))),
            ("a/{sensor}/#", "a/s/x/y", Some((Some("s"), None))),
            ("a/{sensor}/#", "a", None),
            ("#", "anything/at/all", Some((None, None))),
        ] {
            let found = Template::new(template, Format::Citywatch)
                .unwrap()
                .matches(topic);
            assert_eq!(
                found.map(|m| (m.sensor, m.measurement)),
                expected,
                "{template} {topic}"
            );
        }
    }

    #[test]
    fn placeholders_become_wildcards() {
        for (template, filter) in [
            ("a/b", "a/b"),
            ("a/{sensor}/{measurement}", "a/+/+"),
            ("{}/x/{sensor}/#", "+/x/+/#"),
            ("#", "#"),
            ("/a", "/a"),
        ] {
            let template = Template::new(template, Format::Citywatch).unwrap();
            assert_eq!(template.filter(), filter);
        }
    }

    #[test]
    fn the_first_match_wins() {
        let templates = Templates::default();
        assert_eq!(
            templates
                .find("citywatch/readings/a/b")
                .unwrap()
                .measurement,
            Some("b")
        );
        assert_eq!(templates.find("citywatch/readings").unwrap().sensor, None);
        assert_eq!(templates.find("citywatch/cap/1"), None);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let messages: Vec<String> = [
            "",
            "a/{device}",
            "a/#/b",
            "a/b#",
            "{sensor}/{sensor}",
            "a/x+",
        ]
        .into_iter()
        .map(|text| {
            Template::new(text, Format::Citywatch)
                .unwrap_err()
                .to_string()
        })
        .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        a topic template is empty: write a topic such as citywatch/readings/{sensor}
        topic template `a/{device}`: level `{device}` is not understood: write plain text, {sensor}, {measurement}, {} or + for a level to ignore, or # at the end
        topic template `a/#/b`: # may stand only at the end: write + for a single level to ignore
        topic template `a/b#`: level `b#` is not understood: write plain text, {sensor}, {measurement}, {} or + for a level to ignore, or # at the end
        topic template `{sensor}/{sensor}`: {sensor} stands twice: keep one and write + for the other level
        topic template `a/x+`: level `x+` is not understood: write plain text, {sensor}, {measurement}, {} or + for a level to ignore, or # at the end
        "#);
    }
}
