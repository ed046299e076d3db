//! Reading the fields of a YAML map: wanted kinds, unknown keys, missing keys. Reports into the source;
//! knows nothing of what the fields mean.

use std::ops::Range;

use citywatch_model::{Duration, Name, Text, name};

use super::source::Source;
use super::suggest;
use super::yaml::{Map, Node, Scalar};

/// The map behind `node`; anything else is reported. `what` as in "a rule".
pub(super) fn map<'n>(source: &mut Source<'_>, node: &'n Node, what: &str) -> Option<&'n Map> {
    match node {
        Node::Map(map) => Some(map),
        Node::Scalar(_) | Node::List(..) => {
            source.report(
                node.span(),
                format!("{what} must be a map of keys, found {}", node.kind()),
            );
            None
        }
    }
}

/// The items behind `node`.
pub(super) fn list<'n>(source: &mut Source<'_>, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    match node {
        Node::List(items, _) => Some(items),
        Node::Scalar(_) | Node::Map(_) => {
            source.report(
                node.span(),
                format!("{what} must be a list, found {}", node.kind()),
            );
            None
        }
    }
}

/// The text behind `node`, which must not be empty.
pub(super) fn scalar<'n>(
    source: &mut Source<'_>,
    node: &'n Node,
    what: &str,
) -> Option<&'n Scalar> {
    match node {
        Node::Scalar(scalar) if !scalar.is_nothing() && !scalar.value.trim().is_empty() => {
            Some(scalar)
        }
        _ => {
            let kind = if matches!(node, Node::Scalar(_)) {
                "nothing"
            } else {
                node.kind()
            };
            source.report(node.span(), format!("{what} must be a text, found {kind}"));
            None
        }
    }
}

/// The same, interned.
pub(super) fn named(source: &mut Source<'_>, node: &Node, what: &str) -> Option<Name> {
    scalar(source, node, what).map(|scalar| name(scalar.value.trim()))
}

/// A duration such as `5m`.
pub(super) fn duration(source: &mut Source<'_>, node: &Node, what: &str) -> Option<Duration> {
    let scalar = scalar(source, node, what)?;
    match scalar.value.parse() {
        Ok(duration) => Some(duration),
        Err(error) => {
            source.report(scalar.span.clone(), format!("{what}: {error}"));
            None
        }
    }
}

/// A finite number.
pub(super) fn number(source: &mut Source<'_>, node: &Node, what: &str) -> Option<f64> {
    let scalar = scalar(source, node, what)?;
    let number = scalar
        .value
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    if number.is_none() {
        source.report(
            scalar.span.clone(),
            format!("{what}: `{}` is not a number", scalar.value),
        );
    }
    number
}

/// `{ zh: …, en: … }` or one text for both.
pub(super) fn text(source: &mut Source<'_>, node: &Node, what: &str) -> Option<Text> {
    let Node::Map(map) = node else {
        return scalar(source, node, what).map(|scalar| Text::same(&scalar.value));
    };
    keys(source, map, what, &["zh", "en"]);
    let mut part = |key: &str| match get(map, key) {
        Some(node) => scalar(source, node, key).map(|scalar| scalar.value.clone()),
        None => None,
    };
    let (zh, en) = (part("zh"), part("en"));
    Some(match (zh, en) {
        (Some(zh), Some(en)) => Text { zh, en },
        (Some(one), None) | (None, Some(one)) => Text::same(&one),
        (None, None) => {
            source.report(
                map.span.clone(),
                format!("{what} has neither `zh` nor `en`"),
            );
            return None;
        }
    })
}

/// The value of a key.
pub(super) fn get<'n>(map: &'n Map, key: &str) -> Option<&'n Node> {
    map.entries
        .iter()
        .find(|(known, _)| known.value == key)
        .map(|(_, value)| value)
}

/// Reports every key that is not among `known`.
pub(super) fn keys(source: &mut Source<'_>, map: &Map, what: &str, known: &[&str]) {
    for (key, _) in &map.entries {
        if !known.contains(&key.value.as_str()) {
            let help = if key.value.contains(')') {
                "inside { } a comma ends a text: put the condition in quotes".to_owned()
            } else {
                suggest::help(&key.value, known)
            };
            source.report_with_help(
                key.span.clone(),
                format!("{what} has no key `{}`", key.value),
                help,
            );
        }
    }
}

/// One entry between two `|`.
pub(super) struct Piece<'n> {
    pub text: &'n str,
    scalar: &'n Scalar,
    range: Range<usize>,
}

impl Piece<'_> {
    /// Its bytes in the file.
    pub fn place(&self, source: &Source<'_>) -> Range<usize> {
        self.scalar.locate(source.text, self.range.clone())
    }

    /// Reports a mistake at this entry.
    pub fn report(&self, source: &mut Source<'_>, message: String, help: String) {
        let place = self.place(source);
        source.report_with_help(place, message, help);
    }
}

/// The entries of a text, or of each text of a list.
pub(super) fn pieces<'n>(source: &mut Source<'_>, node: &'n Node, what: &str) -> Vec<Piece<'n>> {
    let scalars: Vec<&Scalar> = match node {
        Node::Scalar(scalar) => vec![scalar],
        Node::List(items, _) => items
            .iter()
            .filter_map(|item| self::scalar(source, item, what))
            .collect(),
        Node::Map(_) => self::scalar(source, node, what).into_iter().collect(),
    };
    let mut pieces = Vec::new();
    for scalar in scalars.into_iter().filter(|scalar| !scalar.is_nothing()) {
        let mut start = 0;
        for part in scalar.value.split('|') {
            let text = part.trim();
            let offset = start + part.len() - part.trim_start().len();
            if !text.is_empty() {
                pieces.push(Piece {
                    text,
                    scalar,
                    range: offset..offset + text.len(),
                });
            }
            start += part.len() + 1;
        }
    }
    pieces
}
