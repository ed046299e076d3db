//! What the schema of CAP lets through although the standard's text forbids it. A pass over the warning, for the
//! person who writes it; it changes nothing and never stands in the way of an automatic warning by itself.

use citywatch_model::{Text, Time};

use super::{geometry, text};
use crate::warning::{Reference, Warning, WarningKind};

/// Looks for every point at which the message of `warning` would break the standard's text, or at which
/// [`super::render`] has to change it.
///
/// # Errors
/// All problems, each a sentence that names the thing, the value and the way out.
pub fn check(warning: &Warning) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    token(&mut problems, "identifier", &warning.identifier);
    token(&mut problems, "sender", &warning.sender);
    references(&mut problems, warning);
    times(&mut problems, warning);
    texts(&mut problems, warning);
    for shape in &warning.area.shapes {
        problems.extend(
            geometry::faults(shape)
                .into_iter()
                .map(|fault| format!("the area {fault}")),
        );
    }
    if let Some(url) = warning
        .cap_url
        .as_deref()
        .filter(|url| text::web(url).is_none())
    {
        problems.push(format!("the message's address `{url}` is not an absolute web address: set the public address of the service"));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn token(problems: &mut Vec<String>, what: &str, value: &str) {
    if value.is_empty() {
        problems.push(format!("the {what} is empty: give one"));
    } else if let Some(wrong) = value.chars().find(|c| !text::token_char(*c)) {
        problems.push(format!(
            "the {what} `{value}` holds {wrong:?}: spaces, commas, `<` and `&` are not allowed"
        ));
    }
}

fn references(problems: &mut Vec<String>, warning: &Warning) {
    if warning.kind == WarningKind::Issued {
        if !warning.references.is_empty() {
            problems
                .push("a first warning refers to earlier ones: send it as an update".to_owned());
        }
    } else if warning.references.is_empty() {
        problems.push(format!(
            "a warning that is {} refers to none: name every earlier message that still holds",
            warning.kind.word()
        ));
    }
    for earlier in &warning.references {
        reference(problems, warning, earlier);
    }
}

fn reference(problems: &mut Vec<String>, warning: &Warning, earlier: &Reference) {
    token(problems, "identifier of a reference", &earlier.identifier);
    token(problems, "sender of a reference", &earlier.sender);
    if earlier.identifier == warning.identifier && earlier.sender == warning.sender {
        problems.push(format!(
            "the warning `{}` refers to itself: name the earlier message",
            warning.identifier
        ));
    }
    match earlier.sent.parse::<Time>() {
        Err(error) => problems.push(format!(
            "the reference to `{}`: {error}",
            earlier.identifier
        )),
        Ok(sent) if sent.millis() > warning.sent.millis() => {
            problems.push(format!("the reference to `{}` was sent at {sent}, after the warning itself: refer to earlier messages only", earlier.identifier));
        }
        Ok(_) => {}
    }
}

fn times(problems: &mut Vec<String>, warning: &Warning) {
    if warning.expires <= warning.sent {
        problems.push(format!(
            "the warning expires at {}, not after it is sent at {}: give a later time",
            warning.expires, warning.sent
        ));
    }
    if let Some(onset) = warning.onset.filter(|onset| *onset >= warning.expires) {
        problems.push(format!(
            "the warning begins at {onset}, not before it expires at {}: give a later end",
            warning.expires
        ));
    }
}

fn texts(problems: &mut Vec<String>, warning: &Warning) {
    if warning.headline.zh.trim().is_empty() && warning.headline.en.trim().is_empty() {
        problems.push("the headline is empty: write one line".to_owned());
    }
    let fields = [
        ("headline", &warning.headline),
        ("description", &warning.description),
        ("instruction", &warning.instruction),
        ("event", &warning.event),
        ("area's name", &warning.area.name),
    ];
    for (what, Text { zh, en }) in fields {
        let english = (en != zh).then_some(en);
        for words in std::iter::once(zh).chain(english) {
            if let Some(markup) = markup(words) {
                problems.push(format!(
                    "the {what} holds the markup `{markup}`: write plain text"
                ));
            }
            if text::clean(words).len() != words.replace("\r\n", "\n").len() {
                problems.push(format!("the {what} holds a control character: remove it"));
            }
        }
    }
}

/// The first HTML tag or entity: readers show plain text, so people would see the brackets.
fn markup(words: &str) -> Option<&str> {
    tag(words).or_else(|| entity(words))
}

fn tag(words: &str) -> Option<&str> {
    words.match_indices('<').find_map(|(start, _)| {
        let rest = &words[start..];
        let name = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
        let end = rest.find('>')?;
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            .then_some(&rest[..=end])
    })
}

fn entity(words: &str) -> Option<&str> {
    words.match_indices('&').find_map(|(start, _)| {
        let rest = &words[start..];
        let end = rest.find(';')?;
        let name = rest[1..end].strip_prefix('#').unwrap_or(&rest[1..end]);
        let named =
            (1..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        named.then_some(&rest[..=end])
    })
}
