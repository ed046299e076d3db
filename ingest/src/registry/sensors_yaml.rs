//! Sensors as YAML: a list of maps with the keys of the CSV; `tags` may be a map, `measurements` a list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::problem::{Problem, Problems, utf8};
use super::row::Row;

/// The form of the file.
const EXAMPLE: &str = "a list with one entry for each sensor, such as `- { sensor_id: up-0001, lat: 31.82, lon: 117.22, measurements: [water_depth] }`";

pub(super) fn rows(file: &Path, bytes: &[u8]) -> Result<(Vec<Row>, Problems), Problems> {
    let text = utf8(file, bytes)?;
    let form = serde_saphyr::from_str(text).map_err(|error| unreadable(file, &error, EXAMPLE))?;
    let entries: Vec<Spanned<Entry>> = match form {
        Form::List(entries) => entries,
        Form::Map(key) => {
            let message = format!("the file is no list but begins with this key: write {EXAMPLE}");
            let problem = Problem::of(file).line(key.referenced.line());
            return Err(Problems::one(problem.value(&key.value).message(message)));
        }
    };
    let row = |entry: Spanned<Entry>| Row {
        line: entry.referenced.line(),
        cells: entry
            .value
            .cells
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        tags: entry.value.tags,
    };
    Ok((entries.into_iter().map(row).collect(), Problems::default()))
}

/// What the YAML library says, with its line but without its picture of the file, and how the file should
/// look.
pub(super) fn unreadable(file: &Path, error: &serde_saphyr::Error, example: &str) -> Problems {
    let said = error.without_snippet().to_string();
    let message = format!("cannot be read: {said}: write {example}");
    let problem = Problem::of(file).message(message);
    Problems::one(match error.location() {
        Some(location) => problem.line(location.line()),
        None => problem,
    })
}

/// What the file turns out to be.
enum Form {
    List(Vec<Spanned<Entry>>),
    /// No registry; the first key shows where.
    Map(Spanned<String>),
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Form, D::Error> {
        struct FormVisitor;
        impl<'de> Visitor<'de> for FormVisitor {
            type Value = Form;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sensors")
            }

            fn visit_unit<E: Error>(self) -> Result<Form, E> {
                Ok(Form::List(Vec::new()))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Form, S::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = items.next_element()? {
                    entries.push(entry);
                }
                Ok(Form::List(entries))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Form, M::Error> {
                let Some(first) = map.next_key()? else {
                    return Ok(Form::List(Vec::new()));
                };
                map.next_value::<IgnoredAny>()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Form::Map(first))
            }
        }
        deserializer.deserialize_any(FormVisitor)
    }
}

#[derive(Default)]
struct Entry {
    cells: BTreeMap<String, String>,
    tags: Vec<(String, String)>,
}

/// A scalar as it was written: `007` stays `007`; nothing is empty.
struct Cell(String);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        Option::<String>::deserialize(deserializer).map(|text| Cell(text.unwrap_or_default()))
    }
}

/// `[a, b]`, or `a b`.
struct Words(String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        struct WordsVisitor;
        impl<'de> Visitor<'de> for WordsVisitor {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of measurements, or one string with spaces between them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(text.to_owned()))
            }

            fn visit_unit<E: Error>(self) -> Result<Words, E> {
                Ok(Words(String::new()))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Words, S::Error> {
                let mut words = Vec::new();
                while let Some(Cell(word)) = items.next_element()? {
                    words.push(word);
                }
                Ok(Words(words.join(" ")))
            }
        }
        deserializer.deserialize_any(WordsVisitor)
    }
}

/// A map, or `k=v;k2=v2`.
enum Tags {
    Pairs(Vec<(String, String)>),
    Text(String),
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tags, D::Error> {
        struct TagsVisitor;
        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tags, or a string such as kind=underpass;owner=drainage")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Tags, E> {
                Ok(Tags::Text(text.to_owned()))
            }

            fn visit_unit<E: Error>(self) -> Result<Tags, E> {
                Ok(Tags::Pairs(Vec::new()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Tags, M::Error> {
                let mut pairs = Vec::new();
                while let Some((key, Cell(value))) = map.next_entry()? {
                    pairs.push((key, value));
                }
                Ok(Tags::Pairs(pairs))
            }
        }
        deserializer.deserialize_any(TagsVisitor)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with sensor_id")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entry, M::Error> {
                let mut entry = Entry::default();
                while let Some(key) = map.next_key::<String>()? {
                    let text = match key.as_str() {
                        "tags" => match map.next_value()? {
                            Tags::Pairs(pairs) => {
                                entry.tags = pairs;
                                continue;
                            }
                            Tags::Text(text) => text,
                        },
                        "measurements" => map.next_value::<Words>()?.0,
                        _ => map.next_value::<Cell>()?.0,
                    };
                    entry.cells.insert(key, text);
                }
                Ok(entry)
            }
        }
        deserializer.deserialize_map(EntryVisitor)
    }
}
