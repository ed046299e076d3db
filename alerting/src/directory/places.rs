//! Where departments, plans and their fields stand in a text, for those who judge a directory that was read by what lies
//! outside of it, such as zones.

use std::collections::BTreeMap;

use super::tree::{Node, Tree, parse};

/// Line and column, from 1, of each entry by its path: the fields of an entry of a list stand under its `id`, as in
/// `departments/flood-hq/zones/street-1` or `plans/flood/levels/red`.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<String, (u64, u64)>);

impl Places {
    /// Of a text that [`super::read_directory`] takes; of any other there are none.
    #[must_use]
    pub fn of(text: &str) -> Places {
        let mut places = Places::default();
        if let Ok(root) = parse("", text) {
            places.enter(&root, "");
        }
        places
    }

    /// The place of the entry under `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u64, u64)> {
        self.0.get(path).copied()
    }

    fn enter(&mut self, node: &Node, path: &str) {
        match &node.value {
            Tree::Map(entries) => {
                for (key, value) in entries {
                    self.add(&format!("{path}{}", key.value), value);
                }
            }
            Tree::List(items) => {
                for item in items {
                    if let Some(id) = id(item) {
                        self.add(&format!("{path}{id}"), item);
                    }
                }
            }
            Tree::Nothing | Tree::Flag(_) | Tree::Text(_) => {}
        }
    }

    fn add(&mut self, path: &str, node: &Node) {
        let place = (node.referenced.line(), node.referenced.column());
        self.0.entry(path.to_owned()).or_insert(place);
        self.enter(node, &format!("{path}/"));
    }
}

/// What tells an item of a list from the others: a text itself, or the `id` of a map.
fn id(item: &Node) -> Option<&str> {
    match &item.value {
        Tree::Text(text) => Some(text.trim()),
        Tree::Map(entries) => {
            let (_, id) = entries.iter().find(|(key, _)| key.value == "id")?;
            match &id.value {
                Tree::Text(text) => Some(text.trim()),
                Tree::Nothing | Tree::Flag(_) | Tree::List(_) | Tree::Map(_) => None,
            }
        }
        Tree::Nothing | Tree::Flag(_) | Tree::List(_) => None,
    }
}
