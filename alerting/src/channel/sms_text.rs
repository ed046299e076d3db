//! The words of a text message: mark, colour, what, where, since when, what to do, who says so, and the link to answer,
//! in as few characters as may be. Where they do not fit the advice is cut, then who says so, then the headline; never
//! the mark at the front nor the link at the end.

use crate::cap::{Language, Severity, area_name, one_line};
use crate::sheet;
use crate::warning::Warning;

/// UTF-16 units of a message that stands alone, and of one part of a longer one, whose header takes the rest.
const ALONE: usize = 70;
const PART: usize = 67;
/// Less of an advice than this says nothing.
const LEAST_ADVICE: usize = 6;
/// Longer than any message can be.
const MOST_CHARS: usize = 2_000;

/// What `max_parts` parts hold, in UTF-16 units.
const fn room(max_parts: usize) -> usize {
    if max_parts <= 1 {
        ALONE
    } else {
        PART * max_parts
    }
}

/// The message for `warning`, at most `max_parts` parts long unless mark and link alone are longer.
pub(super) fn text(
    warning: &Warning,
    answer_url: Option<&str>,
    language: Language,
    max_parts: usize,
) -> String {
    let link = link(answer_url, language);
    let mark = sheet::mark(warning.status, language);
    let heading = heading(warning, language);
    let head = heading.strip_prefix(mark).unwrap_or(&heading);
    let advice = advice(warning, language);
    let who = one_line(language.of(&warning.sender_name), MOST_CHARS);
    let stop = stop(language);
    let room = room(max_parts);
    let whole = |head: &str, advice: &str, who: &str| {
        let sentences = [head, advice, who]
            .into_iter()
            .filter(|text| !text.is_empty());
        let said: String = sentences.map(|text| sentence(text, stop)).collect();
        format!("{mark}{}{link}", said.trim_end())
    };
    let full = whole(head, &advice, &who);
    if units(&full) <= room {
        return full;
    }
    let spare = room.saturating_sub(units(&whole(head, "", &who)) + units(stop));
    let short = cut(&advice, spare);
    if units(&short) >= LEAST_ADVICE {
        return whole(head, &short, &who);
    }
    let more = if advice.is_empty() { "" } else { "…" };
    let without_who = whole(&format!("{head}{more}"), "", "");
    if units(&without_who) <= room {
        return without_who;
    }
    let spare = room.saturating_sub(units(&whole("", "", "")) + units(stop));
    whole(&cut(head, spare), "", "")
}

/// Heading, place if the heading does not name it, and since when.
fn heading(warning: &Warning, language: Language) -> String {
    let mut heading = one_line(&sheet::heading(warning, language), MOST_CHARS);
    let (open, close) = brackets(language);
    let grade = grade(warning, language);
    if !warning.kind.ends() && !heading.to_lowercase().contains(&grade) {
        heading.push_str(&format!("{open}{grade}{close}"));
    }
    let place = one_line(&area_name(&warning.area, language), MOST_CHARS);
    if !warning.area.name.zh.is_empty() && !heading.contains(&place) {
        heading.push_str(&match language {
            Language::Chinese => format!("，{place}"),
            Language::English => format!(", {place}"),
        });
    }
    let since = warning.onset.filter(|_| !warning.kind.ends());
    let when = sheet::short_moment(since.unwrap_or(warning.sent), warning, language);
    heading
        + &match (language, since.is_some()) {
            (Language::Chinese, true) => format!("，{when}起"),
            (Language::Chinese, false) => format!("，{when}"),
            (Language::English, true) => format!(", since {when}"),
            (Language::English, false) => format!(", {when}"),
        }
}

fn grade(warning: &Warning, language: Language) -> String {
    let severity = Severity(warning.level);
    match language {
        Language::Chinese => severity.zh().to_owned(),
        Language::English => severity.cap().to_ascii_lowercase(),
    }
}

const fn brackets(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Chinese => ("（", "）"),
        Language::English => (" (", ")"),
    }
}

/// What to do, and the operator's reason for a later message.
fn advice(warning: &Warning, language: Language) -> String {
    let todo = one_line(language.of(&warning.instruction), MOST_CHARS);
    let note = one_line(warning.note.as_deref().unwrap_or_default(), MOST_CHARS);
    let (do_this, because) = match language {
        Language::Chinese => ("处置：", "说明："),
        Language::English => ("Do: ", "Note: "),
    };
    let parts = [(because, note), (do_this, todo)];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| format!("{label}{}", text.trim_end_matches(['。', '.'])))
        .collect();
    said.join(stop(language))
}

/// Behind a space, so that telephones see where the address begins; nothing stands after it.
fn link(answer_url: Option<&str>, language: Language) -> String {
    let label = match language {
        Language::Chinese => "请回复",
        Language::English => " Answer:",
    };
    answer_url.map_or_else(String::new, |url| format!("{label} {url}"))
}

const fn stop(language: Language) -> &'static str {
    match language {
        Language::Chinese => "。",
        Language::English => ". ",
    }
}

fn sentence(text: &str, stop: &str) -> String {
    let text = text.trim_end_matches(['。', '.', ' ']);
    let stop = if text.ends_with('…') {
        stop.trim_start_matches(['。', '.'])
    } else {
        stop
    };
    format!("{text}{stop}")
}

/// At most `room` units of `text`, an ellipsis at the end of what was cut.
fn cut(text: &str, room: usize) -> String {
    if units(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = units("…");
    for c in text.chars() {
        used += c.len_utf16();
        if used > room {
            break;
        }
        short.push(c);
    }
    if !short.is_empty() {
        short.push('…');
    }
    short
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
