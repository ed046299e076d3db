//! Rejections of whole payloads and elements, in words that a person can act on.

use std::borrow::Cow;

use crate::decode::json::Node;
use crate::rejected::{Reason, Rejection};

/// A foreign text in a message is cut to this many characters.
const SHOWN_CHARS: usize = 60;

pub(in crate::decode) fn whole(reason: Reason, detail: String) -> Rejection {
    Rejection {
        index: None,
        reason,
        detail,
    }
}

pub(in crate::decode) fn not_an_object(
    what: &str,
    index: Option<usize>,
    node: &Node<'_>,
    example: &str,
) -> Rejection {
    let detail = format!(
        "{what} is {}: send an object such as {example}",
        node.kind()
    );
    Rejection {
        index,
        reason: Reason::NotAnObject,
        detail,
    }
}

/// Says where the text stops being JSON.
pub(in crate::decode) fn malformed(text: &str, error: &serde_json::Error) -> Rejection {
    let (line, column) = (error.line(), error.column());
    let start = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let byte = (start + column.saturating_sub(1)).min(text.len());
    let said = error.to_string();
    let what = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(what, _)| what);
    let rest = text.get(byte..).unwrap_or_default();
    let hint = if ["NaN", "nan", "Inf", "inf", "-Inf", "-inf"]
        .iter()
        .any(|word| rest.starts_with(word))
    {
        "JSON has no NaN or infinity, leave such a value out"
    } else {
        "send one JSON object or array"
    };
    whole(
        Reason::MalformedJson,
        format!("not JSON at byte {byte} (line {line}, column {column}): {what}: {hint}"),
    )
}

/// Foreign text for a message: short and without control characters.
pub(in crate::decode) fn shown(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_control();
    if text.len() <= SHOWN_CHARS && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut cut: String = text
        .chars()
        .take(SHOWN_CHARS)
        .map(|c| if plain(c) { c } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        cut.push('…');
    }
    Cow::Owned(cut)
}
