//! A YAML document as a tree in which every node knows its place, so that all problems of a file can be reported
//! at once. It knows nothing of departments.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// From 1; 0 if it concerns the file as a whole.
    pub line: u64,
    /// From 1; 0 if it concerns the file as a whole.
    pub column: u64,
    /// Path to the field, such as `departments[0].channels[1].url`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, and the way out.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// A value with its place.
pub(super) type Node = Spanned<Tree>;

/// A YAML value; scalars keep their text, a flag tells `true` from `"true"` no more than the fields need.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Nothing,
    Flag(bool),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Tree {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Tree::Nothing => "nothing",
            Tree::Flag(_) => "true or false",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Text(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Text(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Text(number.to_string()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

/// Reads a document; the parser's own error becomes the only problem.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    serde_saphyr::from_str(text).map_err(|error| {
        let location = error.location();
        let message = error.without_snippet().to_string();
        Problem {
            file: file.to_owned(),
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            field: String::new(),
            message: without_place(message.lines().next().unwrap_or_default()).to_owned(),
        }
    })
}

/// The parser's words without the place, which stands in front, and without advice to programmers.
fn without_place(message: &str) -> &str {
    let end = [", set ", " at line "]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    &message[..end.unwrap_or(message.len())]
}
