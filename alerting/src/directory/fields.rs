//! Fields of a YAML map, one by one, each mistake noted with its place and the way out. It knows nothing of
//! departments.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use citywatch_model::Text;

use super::tree::{Node, Problem, Tree};

/// Takes fields out of maps and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub file: &'a str,
    pub problems: RefCell<Vec<Problem>>,
}

/// The fields of one map; asking for a field takes its place and path along.
pub(super) struct Fields<'a> {
    pub place: &'a Node,
    pub path: String,
    pub entries: BTreeMap<&'a str, &'a Node>,
}

impl Fields<'_> {
    pub fn path(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }
}

impl Reader<'_> {
    pub fn report(&self, node: &Node, field: &str, message: impl Display) {
        self.report_at(
            node.referenced.line(),
            node.referenced.column(),
            field,
            message,
        );
    }

    pub fn report_at(&self, line: u64, column: u64, field: &str, message: impl Display) {
        let problem = Problem {
            file: self.file.to_owned(),
            line,
            column,
            field: field.to_owned(),
            message: message.to_string(),
        };
        self.problems.borrow_mut().push(problem);
    }

    /// The node as a map with these fields only.
    pub fn fields<'n>(&self, node: &'n Node, path: &str, known: &[&str]) -> Fields<'n> {
        let mut entries = BTreeMap::new();
        match &node.value {
            Tree::Map(map) => {
                for (key, value) in map {
                    if known.contains(&key.value.as_str()) {
                        entries.insert(key.value.as_str(), value);
                    } else {
                        let place = &key.referenced;
                        let message = format!(
                            "unknown key `{}`: {}",
                            key.value,
                            suggestion(&key.value, known)
                        );
                        self.report_at(place.line(), place.column(), path, message);
                    }
                }
            }
            other @ (Tree::Nothing | Tree::Flag(_) | Tree::Text(_) | Tree::List(_)) => {
                self.report(
                    node,
                    path,
                    format!("is {}: write a map of {}", other.kind(), known.join(", ")),
                );
            }
        }
        Fields {
            place: node,
            path: path.to_owned(),
            entries,
        }
    }

    pub fn text<'n>(&self, fields: &Fields<'n>, field: &str) -> Option<&'n str> {
        let node = fields.entries.get(field)?;
        match &node.value {
            Tree::Text(text) if !text.trim().is_empty() => Some(text.trim()),
            other => {
                self.report(
                    node,
                    &fields.path(field),
                    format!("is {}: write a text, or leave it out", empty_or(other)),
                );
                None
            }
        }
    }

    pub fn required<'n>(&self, fields: &Fields<'n>, field: &str) -> Option<&'n str> {
        if !fields.entries.contains_key(field) && matches!(fields.place.value, Tree::Map(_)) {
            self.report(
                fields.place,
                &fields.path,
                format!("`{field}` is missing: add it"),
            );
        }
        self.text(fields, field)
    }

    pub fn parsed<T: FromStr<Err: Display>>(&self, fields: &Fields<'_>, field: &str) -> Option<T> {
        let text = self.text(fields, field)?;
        text.parse()
            .map_err(|error| self.report(fields.entries[field], &fields.path(field), error))
            .ok()
    }

    pub fn flag(&self, fields: &Fields<'_>, field: &str) -> Option<bool> {
        let node = fields.entries.get(field)?;
        if let Tree::Flag(flag) = node.value {
            return Some(flag);
        }
        self.report(
            node,
            &fields.path(field),
            format!("is {}: write true or false", node.value.kind()),
        );
        None
    }

    /// The items of a list field with their paths.
    pub fn list<'n>(&self, fields: &Fields<'n>, field: &str) -> Vec<(String, &'n Node)> {
        let Some(node) = fields.entries.get(field) else {
            return Vec::new();
        };
        let path = fields.path(field);
        match &node.value {
            Tree::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (format!("{path}[{at}]"), item))
                .collect(),
            Tree::Nothing => Vec::new(),
            other @ (Tree::Flag(_) | Tree::Text(_) | Tree::Map(_)) => {
                self.report(node, &path, format!("is {}: write a list", other.kind()));
                Vec::new()
            }
        }
    }

    pub fn texts<'n>(&self, fields: &Fields<'n>, field: &str) -> Vec<(String, &'n Node, &'n str)> {
        let items = self.list(fields, field).into_iter();
        items
            .filter_map(|(path, node)| match &node.value {
                Tree::Text(text) => Some((path, node, text.as_str())),
                other => {
                    self.report(node, &path, format!("is {}: write a text", other.kind()));
                    None
                }
            })
            .collect()
    }

    /// One text for both languages, or `{ zh, en }`.
    pub fn both(&self, fields: &Fields<'_>, field: &str) -> Option<Text> {
        let node = fields.entries.get(field)?;
        if let Tree::Map(_) = node.value {
            let inner = self.fields(node, &fields.path(field), &["zh", "en"]);
            let (zh, en) = (self.text(&inner, "zh"), self.text(&inner, "en"));
            let either = zh.or(en)?;
            return Some(Text {
                zh: zh.unwrap_or(either).to_owned(),
                en: en.unwrap_or(either).to_owned(),
            });
        }
        self.text(fields, field).map(Text::same)
    }
}

fn empty_or(tree: &Tree) -> &'static str {
    if let Tree::Text(_) = tree {
        "empty"
    } else {
        tree.kind()
    }
}

/// The known word nearest to `word`, or all of them.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None if known.is_empty() => "there are none yet".to_owned(),
        None => format!("write one of {}", known.join(", ")),
    }
}

/// The known word that `word` is a slip of, if it is near enough to one; capitals tell nothing apart.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let small = word.to_lowercase();
    let distances = known
        .iter()
        .map(|known| (strsim::levenshtein(&small, &known.to_lowercase()), *known));
    let (distance, known) = distances.min()?;
    (distance <= 2.max(word.len() / 3)).then_some(known)
}
