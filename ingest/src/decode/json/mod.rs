//! JSON as Citywatch payloads use it: one object level by level, borrowed from the payload. The quick road
//! reads typed nodes in one pass. A number that no float can hold ends that road, so the careful road cuts
//! the text into raw pieces first and spoils only the piece in question. Nothing here judges a reading.

mod read;

use std::borrow::Cow;

use serde_json::value::RawValue;

use read::RawMap;

/// A JSON value. Arrays keep nothing: no field of a payload may be one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Array,
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// A number beyond every float, as it was written.
    Beyond(&'a str),
}

impl Node<'_> {
    /// What it is, in the words of JSON.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Integer(_) | Node::Float(_) | Node::Beyond(_) => "a number",
            Node::Text(_) => "a string",
            Node::Array => "an array",
            Node::Object(_) => "an object",
        }
    }
}

/// The keys of a payload object that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Sensor,
    Ts,
    Measurement,
    Value,
    Unit,
    Values,
    Units,
}

impl Key {
    const COUNT: usize = 7;

    fn find(text: &str) -> Option<Key> {
        Some(match text {
            "sensor" => Key::Sensor,
            "ts" => Key::Ts,
            "measurement" => Key::Measurement,
            "value" => Key::Value,
            "unit" => Key::Unit,
            "values" => Key::Values,
            "units" => Key::Units,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Key::Sensor => "sensor",
            Key::Ts => "ts",
            Key::Measurement => "measurement",
            Key::Value => "value",
            Key::Unit => "unit",
            Key::Values => "values",
            Key::Units => "units",
        }
    }
}

/// One object of a payload; keys that mean nothing are skipped.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    slots: [Option<Node<'a>>; Key::COUNT],
    /// A key that stands twice, so that nobody can tell which of its values is meant.
    pub(super) twice: Option<Key>,
    /// A key that means nothing here, but holds what looks like the event time.
    pub(super) other_time: Option<Alias>,
    /// A key that means nothing here, but holds what looks like a unit, or several.
    pub(super) other_unit: Option<Alias>,
}

/// A key that others use for one of ours, or ours in other letters: its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alias(u8);

impl Alias {
    /// In small letters.
    const ALL: [(&str, Key); 14] = [
        ("ts", Key::Ts),
        ("t", Key::Ts),
        ("time", Key::Ts),
        ("timestamp", Key::Ts),
        ("datetime", Key::Ts),
        ("date_time", Key::Ts),
        ("datatime", Key::Ts),
        ("data_time", Key::Ts),
        ("时间", Key::Ts),
        ("采集时间", Key::Ts),
        ("unit", Key::Unit),
        ("units", Key::Unit),
        ("uom", Key::Unit),
        ("单位", Key::Unit),
    ];

    fn find(text: &str) -> Option<Alias> {
        let mut all = (0..).zip(Alias::ALL);
        let (place, _) = all.find(|(_, (name, _))| name.eq_ignore_ascii_case(text))?;
        Some(Alias(place))
    }

    fn key(self) -> Key {
        Alias::ALL[usize::from(self.0)].1
    }

    pub(super) fn name(self) -> &'static str {
        Alias::ALL[usize::from(self.0)].0
    }
}

impl<'a> Object<'a> {
    pub(super) fn take(&mut self, key: Key) -> Option<Node<'a>> {
        self.slots[key as usize].take()
    }

    fn put(&mut self, key: Key, node: Node<'a>) {
        let slot = &mut self.slots[key as usize];
        if slot.is_some() {
            self.twice = Some(key);
        } else {
            *slot = Some(node);
        }
    }

    /// A number below this is no time of our days, but perhaps a temperature under the key `t`.
    const FIRST_SECONDS: f64 = 1e8;

    fn put_alias(&mut self, alias: Alias, node: &Node<'a>) {
        if alias.key() == Key::Ts {
            let is_time = match node {
                // a time begins with a digit; `"t":"level"` is none
                Node::Text(text) => text
                    .trim_start()
                    .starts_with(|first: char| first.is_ascii_digit()),
                Node::Integer(number) => *number as f64 >= Self::FIRST_SECONDS,
                Node::Float(number) => *number >= Self::FIRST_SECONDS,
                Node::Null | Node::Bool(_) | Node::Array | Node::Object(_) | Node::Beyond(_) => {
                    false
                }
            };
            if is_time {
                self.other_time = Some(alias);
            }
        } else if matches!(node, Node::Text(text) if !text.is_empty())
            || matches!(node, Node::Object(_))
        {
            self.other_unit = Some(alias);
        }
    }

    /// The careful road: `text` is one valid JSON object, but perhaps with numbers beyond every float.
    pub(super) fn read_carefully(text: &'a str) -> serde_json::Result<Object<'a>> {
        let mut object = Object::default();
        for (key, raw) in serde_json::from_str::<RawMap<'a>>(text)?.0 {
            if let Some(key) = Key::find(&key) {
                object.put(key, Node::read_carefully(raw.get()));
            } else if let Some(alias) = Alias::find(&key) {
                object.put_alias(alias, &Node::read_carefully(raw.get()));
            }
        }
        Ok(object)
    }
}

impl<'a> Node<'a> {
    /// The careful road for one value that is valid JSON.
    pub(super) fn read_carefully(text: &'a str) -> Node<'a> {
        if let Ok(node) = serde_json::from_str(text) {
            return node;
        }
        match serde_json::from_str::<RawMap<'a>>(text) {
            // one level is enough: deeper objects are refused whatever they hold
            Ok(RawMap(fields)) => {
                let read = |raw: &'a RawValue| {
                    serde_json::from_str(raw.get()).unwrap_or(Node::Beyond(raw.get()))
                };
                Node::Object(
                    fields
                        .into_iter()
                        .map(|(key, raw)| (key, read(raw)))
                        .collect(),
                )
            }
            Err(_) => Node::Beyond(text),
        }
    }
}

/// One element of a payload array.
#[derive(Debug)]
pub(super) enum Element<'a> {
    Object(Object<'a>),
    Other(Node<'a>),
}

impl<'a> Element<'a> {
    /// The careful road for one element that is valid JSON.
    pub(super) fn read_carefully(text: &'a str) -> Element<'a> {
        match Object::read_carefully(text) {
            Ok(object) => Element::Object(object),
            Err(_) => Element::Other(Node::read_carefully(text)),
        }
    }
}
