//! Where rules stand in their file, so that one can be read, replaced or taken out and the rest of the file stays
//! as somebody wrote it. Looks only at the list `rules:`; what a rule says is `rule`'s affair.

use std::ops::Range;

use citywatch_model::{Name, name};

use super::fields;
use super::source::Source;
use super::yaml::{self, Node};

/// The bytes of each rule of a rule file, in the order of the file: from its first key, or its `{`, to the end of
/// its last value. Neither the `-` before a rule nor a comment behind it is counted in. What is not a rule, or has
/// no id, is left out.
///
/// ```
/// let text = "rules:\n  - id: a\n    measurement: m # depth\n  - { id: b, measurement: m }\n";
/// let places = citywatch_rules::rule_places(text);
/// assert_eq!(&text[places[0].1.clone()], "id: a\n    measurement: m");
/// assert_eq!(&text[places[1].1.clone()], "{ id: b, measurement: m }");
/// ```
#[must_use]
pub fn rule_places(text: &str) -> Vec<(Name, Range<usize>)> {
    places(text, "rules")
}

/// The bytes of each derived series of a rule file, as [`rule_places`] has those of rules.
#[must_use]
pub fn derive_places(text: &str) -> Vec<(Name, Range<usize>)> {
    places(text, "derive")
}

fn places(text: &str, list: &str) -> Vec<(Name, Range<usize>)> {
    // mistakes are for `compile` to tell
    let mut source = Source::new("", text);
    let Some(Node::Map(root)) = yaml::read(&mut source) else {
        return Vec::new();
    };
    let Some(Node::List(items, _)) = fields::get(&root, list) else {
        return Vec::new();
    };
    items.iter().filter_map(|item| place(text, item)).collect()
}

fn place(text: &str, item: &Node) -> Option<(Name, Range<usize>)> {
    let Node::Map(map) = item else { return None };
    let Some(Node::Scalar(id)) = fields::get(map, "id") else {
        return None;
    };
    let id = id.value.trim();
    let start = match map.entries.first() {
        Some((key, _)) if !text[map.span.start..].starts_with('{') => key.span.start,
        _ => map.span.start,
    };
    Some((name(id), start..end(text, item)))
}

/// The end of what is written: YAML ends a block only where the next one begins.
fn end(text: &str, node: &Node) -> usize {
    let span = node.span();
    if text[span.start..span.end].ends_with(['}', ']'])
        && text[span.start..].starts_with(['{', '['])
    {
        return span.end;
    }
    match node {
        Node::Scalar(scalar) => span.start + text[scalar.span.clone()].trim_end().len(),
        Node::List(items, _) => items.last().map_or(span.end, |last| end(text, last)),
        Node::Map(map) => map.entries.last().map_or(span.end, |(key, value)| {
            // a key without a value ends behind its colon
            let colon = key.span.end + text[key.span.end..].find(':').map_or(0, |colon| colon + 1);
            match value {
                Node::Scalar(nothing) if nothing.is_nothing() && nothing.span.is_empty() => colon,
                _ => end(text, value),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(&str, &str)> {
        let places = rule_places(text).into_iter();
        places
            .map(|(id, range)| (id.as_str(), &text[range]))
            .collect()
    }

    #[test]
    fn comments_and_blank_lines_between_rules_belong_to_nobody() {
        let text = "# pits\nrules:\n  - id: a\n    levels:\n      red: value > 1\n    tests:\n      - name: x\n        expect: \"\"\n\n  # the next\n  - measurement: m\n    id: b\n    advice: |\n      Close\n      it\n    clear:\n\n# end\n";
        let expected = [
            (
                "a",
                "id: a\n    levels:\n      red: value > 1\n    tests:\n      - name: x\n        expect: \"\"",
            ),
            (
                "b",
                "measurement: m\n    id: b\n    advice: |\n      Close\n      it\n    clear:",
            ),
        ];
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn a_list_in_brackets_and_what_is_no_rule() {
        let text = "rules: [{ id: a, levels: { red: 'x}' } }, 7, { measurement: m }, { id: 下穿 }]";
        let expected = [
            ("a", "{ id: a, levels: { red: 'x}' } }"),
            ("下穿", "{ id: 下穿 }"),
        ];
        assert_eq!(shown(text), expected);
        let text = "rules: [{ id: a }]\nderive:\n  - { id: d } # mean\n";
        let derived = derive_places(text);
        assert_eq!(
            (derived.len(), &text[derived[0].1.clone()]),
            (1, "{ id: d }")
        );
        for nothing in ["", "rules:", "rules: 7", "- id: a", "rules: {{"] {
            assert_eq!(shown(nothing), []);
        }
    }
}
