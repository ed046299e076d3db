//! JSON as Citywatch payloads use it: one object level by level, borrowed from the payload. The quick road
//! reads typed nodes in one pass. A number that no float can hold ends that road, so the careful road cuts
//! the text into raw pieces first and spoils only the piece in question. Nothing here judges a reading.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

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
    pub(super) other_time: Option<OtherTime>,
}

/// What others call `ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherTime {
    Time,
    Timestamp,
    Datetime,
    T,
}

impl OtherTime {
    const ALL: [OtherTime; 4] = [
        OtherTime::Time,
        OtherTime::Timestamp,
        OtherTime::Datetime,
        OtherTime::T,
    ];

    fn find(text: &str) -> Option<OtherTime> {
        let mut all = OtherTime::ALL.into_iter();
        all.find(|other| other.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            OtherTime::Time => "time",
            OtherTime::Timestamp => "timestamp",
            OtherTime::Datetime => "datetime",
            OtherTime::T => "t",
        }
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

    fn put_other_time(&mut self, key: OtherTime, node: &Node<'a>) {
        let is_time = match node {
            Node::Text(text) => !text.is_empty(),
            Node::Integer(number) => *number as f64 >= Self::FIRST_SECONDS,
            Node::Float(number) => *number >= Self::FIRST_SECONDS,
            Node::Null | Node::Bool(_) | Node::Array | Node::Object(_) | Node::Beyond(_) => false,
        };
        if is_time {
            self.other_time = Some(key);
        }
    }

    /// The careful road: `text` is one valid JSON object, but perhaps with numbers beyond every float.
    pub(super) fn read_carefully(text: &'a str) -> serde_json::Result<Object<'a>> {
        let mut object = Object::default();
        for (key, raw) in serde_json::from_str::<RawMap<'a>>(text)?.0 {
            if let Some(key) = Key::find(&key) {
                object.put(key, Node::read_carefully(raw.get()));
            } else if let Some(key) = OtherTime::find(&key) {
                object.put_other_time(key, &Node::read_carefully(raw.get()));
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

struct RawMap<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

struct Text<'a>(Cow<'a, str>);

/// A key on the quick road: matched in place, never copied.
enum KnownKey {
    Known(Key),
    OtherTime(OtherTime),
    Nothing,
}

macro_rules! visit_text {
    ($wrap:expr) => {
        fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Self::Value, E> {
            Ok($wrap(Cow::Borrowed(text)))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok($wrap(Cow::Owned(text.to_owned())))
        }
    };
}

/// The methods that a `Node` and an `Element` share: everything but an object.
macro_rules! visit_all_but_map {
    ($wrap:expr) => {
        visit_text!(|text| $wrap(Node::Text(text)));

        fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok($wrap(Node::Bool(value)))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok($wrap(Node::Integer(value)))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok($wrap(
                i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer),
            ))
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok($wrap(Node::Float(value)))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($wrap(Node::Null))
        }

        fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Self::Value, S::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($wrap(Node::Array))
        }
    };
}

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct TextVisitor;
        impl<'a> Visitor<'a> for TextVisitor {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            visit_text!(Text);
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'a> Deserialize<'a> for KnownKey {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<KnownKey, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = KnownKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<KnownKey, E> {
                let other = || OtherTime::find(text).map_or(KnownKey::Nothing, KnownKey::OtherTime);
                Ok(Key::find(text).map_or_else(other, KnownKey::Known))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

impl<'a> Deserialize<'a> for Node<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Node<'a>, D::Error> {
        struct NodeVisitor;
        impl<'a> Visitor<'a> for NodeVisitor {
            type Value = Node<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            visit_all_but_map!(|node| node);

            fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Node<'a>, M::Error> {
                let mut fields = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Node::Object(fields))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

fn read_object<'a, M: MapAccess<'a>>(mut map: M) -> Result<Object<'a>, M::Error> {
    let mut object = Object::default();
    while let Some(key) = map.next_key()? {
        match key {
            KnownKey::Known(key) => object.put(key, map.next_value()?),
            KnownKey::OtherTime(key) => object.put_other_time(key, &map.next_value()?),
            KnownKey::Nothing => _ = map.next_value::<IgnoredAny>()?,
        }
    }
    Ok(object)
}

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Object<'a>, D::Error> {
        struct ObjectVisitor;
        impl<'a> Visitor<'a> for ObjectVisitor {
            type Value = Object<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'a>>(self, map: M) -> Result<Object<'a>, M::Error> {
                read_object(map)
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl<'a> Deserialize<'a> for Element<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Element<'a>, D::Error> {
        struct ElementVisitor;
        impl<'a> Visitor<'a> for ElementVisitor {
            type Value = Element<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            visit_all_but_map!(Element::Other);

            fn visit_map<M: MapAccess<'a>>(self, map: M) -> Result<Element<'a>, M::Error> {
                read_object(map).map(Element::Object)
            }
        }
        deserializer.deserialize_any(ElementVisitor)
    }
}

impl<'a> Deserialize<'a> for RawMap<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<RawMap<'a>, D::Error> {
        struct RawVisitor;
        impl<'a> Visitor<'a> for RawVisitor {
            type Value = RawMap<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<RawMap<'a>, M::Error> {
                let mut fields = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(RawMap(fields))
            }
        }
        deserializer.deserialize_map(RawVisitor)
    }
}
