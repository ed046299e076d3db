//! One rule inside its file: read it, put another text in its place, take it out. The rest of the file, comments
//! included, stays as somebody wrote it. Knows where rules stand, not what they say.

use std::collections::BTreeMap;
use std::ops::Range;

use citywatch_alerting::ledger::Part;
use citywatch_model::Name;
use citywatch_rules::{derive_places, rule_places};

use crate::bundle::{Bundle, BundleFile};

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index of the file among those of the bundle.
    pub file: usize,
    /// Its bytes there.
    pub range: Range<usize>,
    /// Its own text, as if it stood alone: a map of keys that begins in the first column.
    pub text: String,
}

/// Every rule of the bundle.
pub fn places(files: &[BundleFile]) -> BTreeMap<Name, Place> {
    let rules = files.iter().enumerate();
    let rules = rules.filter(|(_, file)| file.part == Part::Rules);
    rules
        .flat_map(|(index, file)| {
            let places = rule_places(&file.text).into_iter();
            places.map(move |(id, range)| {
                let text = own(&file.text, range.clone());
                let place = Place {
                    file: index,
                    range,
                    text,
                };
                (id, place)
            })
        })
        .collect()
}

/// Text of a derived series, and the measurements that it makes.
pub struct Derived {
    makes: Vec<Name>,
    text: String,
}

/// Every derived series of the bundle.
pub fn derived(bundle: &Bundle) -> Vec<Derived> {
    let files = bundle.files.iter().filter(|file| file.part == Part::Rules);
    let texts: BTreeMap<Name, &str> = files
        .flat_map(|file| {
            let places = derive_places(&file.text).into_iter();
            places.map(|(id, range)| (id, &file.text[range]))
        })
        .collect();
    let series = bundle.rules.derived.iter();
    series
        .map(|series| Derived {
            makes: series.makes(),
            text: texts
                .get(&series.id)
                .copied()
                .unwrap_or_default()
                .to_owned(),
        })
        .collect()
}

/// The texts of the derived series that a rule with this text reads, by itself or through others; empty if none. A
/// name that only stands in a word for people counts as read: a version too many harms nobody.
pub fn read_by(text: &str, derived: &[Derived]) -> String {
    let mut read = vec![false; derived.len()];
    let mut texts = vec![text];
    while let Some(text) = texts.pop() {
        for (series, read) in derived.iter().zip(&mut read) {
            if !*read && series.makes.iter().any(|made| text.contains(made.as_str())) {
                *read = true;
                texts.push(&series.text);
            }
        }
    }
    let read = derived.iter().zip(read).filter(|(_, read)| *read);
    read.map(|(series, _)| series.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Column of a byte, in characters.
fn column(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..at].chars().count()
}

fn own(text: &str, range: Range<usize>) -> String {
    let column = column(text, range.start);
    let mut lines = text[range].lines();
    let mut own = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let blanks = line.len() - line.trim_start_matches(' ').len();
        own.push('\n');
        own.push_str(&line[blanks.min(column)..]);
    }
    own.push('\n');
    own
}

fn indented(own: &str, column: usize) -> String {
    let blanks = " ".repeat(column);
    let lines = own.trim_end().lines().enumerate();
    let lines = lines.map(|(number, line)| match (number, line.is_empty()) {
        (0, _) | (_, true) => line.to_owned(),
        (_, false) => format!("{blanks}{line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The file with another text in the place of a rule.
pub fn replaced(text: &str, range: Range<usize>, own: &str) -> String {
    let own = indented(own, column(text, range.start));
    format!("{}{own}{}", &text[..range.start], &text[range.end..])
}

/// A file with nothing but this rule.
pub fn alone(own: &str) -> String {
    format!("rules:\n  - {}\n", indented(own, 4))
}

/// A rule file as it is, or one made of the keys of one rule.
pub fn whole_file(text: &str) -> String {
    let one = rule_places(text).is_empty() && rule_places(&alone(text)).len() == 1;
    if one { alone(text) } else { text.to_owned() }
}

/// The file without a rule; `None` if it held no other.
pub fn removed(text: &str, range: Range<usize>) -> Option<String> {
    if rule_places(text).len() < 2 {
        return None;
    }
    let line = text[..range.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let (mut start, mut end) = (range.start, range.end);
    let rest = text[end..].lines().next().unwrap_or_default();
    if text[line..start].trim() == "-" {
        // an item of a block list: its whole lines, with a comment that stands behind it
        start = line;
        if rest.trim_start().is_empty() || rest.trim_start().starts_with('#') {
            end += rest.len();
            end += text[end..].find('\n').map_or(0, |newline| newline + 1);
        }
    } else if let Some(comma) = text[end..].find(|c: char| !c.is_whitespace()) {
        // an item in brackets: with the comma behind it, else with the one before it
        if text[end + comma..].starts_with(',') {
            end += comma + 1;
        } else if let Some(comma) = text[..start].trim_end().strip_suffix(',') {
            start = comma.len();
        }
    }
    Some(format!("{}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::name;

    use super::*;

    const FILE: &str = "# pits\nrules:\n  - id: a\n    levels:\n      red: value > 1   # shut\n\n  # the second\n  - id: b\n    measurement: m\n";

    fn place(text: &str, id: &str) -> Place {
        let file = BundleFile {
            part: Part::Rules,
            name: "rules/r.yaml".to_owned(),
            shown: String::new(),
            text: text.to_owned(),
        };
        places(&[file])[&name(id)].clone()
    }

    #[test]
    fn a_rule_is_read_and_replaced_where_it_stands() {
        let found = place(FILE, "a");
        assert_eq!(found.text, "id: a\nlevels:\n  red: value > 1\n");
        assert_eq!(replaced(FILE, found.range.clone(), &found.text), FILE);
        let other = replaced(
            FILE,
            found.range,
            "id: a\nlevels:\n  red: value > 2\n\nhold: 5m\n",
        );
        let expected = FILE.replace("> 1", "> 2\n\n    hold: 5m");
        assert_eq!(other, expected);
        assert_eq!(place(&alone(&found.text), "a").text, found.text);
    }

    #[test]
    fn a_rule_is_taken_out_with_its_lines() {
        let without = removed(FILE, place(FILE, "a").range).unwrap();
        assert_eq!(
            without,
            "# pits\nrules:\n\n  # the second\n  - id: b\n    measurement: m\n"
        );
        assert_eq!(removed(&without, place(&without, "b").range), None);
        let brackets = "rules: [{ id: a }, { id: b }]\n";
        let first = removed(brackets, place(brackets, "a").range).unwrap();
        assert_eq!(first, "rules: [ { id: b }]\n");
        let second = removed(brackets, place(brackets, "b").range).unwrap();
        assert_eq!(second, "rules: [{ id: a }]\n");
    }
}
