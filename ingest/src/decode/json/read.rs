//! How serde fills what a payload is read into, in one pass and without a copy where the text has no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Alias, Element, Key, Node, Object};

/// The fields of an object, unread.
pub(super) struct RawMap<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

struct Text<'a>(Cow<'a, str>);

/// A key on the quick road: matched in place, never copied.
enum KnownKey {
    Known(Key),
    Alias(Alias),
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
                let other = || Alias::find(text).map_or(KnownKey::Nothing, KnownKey::Alias);
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
            KnownKey::Alias(alias) => object.put_alias(alias, &map.next_value()?),
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
