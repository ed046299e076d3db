//! A warning as people read it in a mail or on a page: one heading, then lines with a label each, in one language.
//! Pure; where it is shown, and with which marks of layout, is the shower's affair.

use citywatch_model::Time;
use jiff::Timestamp;

use crate::cap::{Language, Severity, area_name, clean, event};
use crate::warning::{Status, Warning, WarningKind};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub label: &'static str,
    /// What it says; may have several lines of its own.
    pub text: String,
}

/// The mark of a message that is not meant, such as 【演练】; empty if it is.
#[must_use]
pub const fn mark(status: Status, language: Language) -> &'static str {
    match (status, language) {
        (Status::Actual, _) => "",
        (Status::Exercise, Language::Chinese) => "【演练】",
        (Status::Test, Language::Chinese) => "【测试】",
        (Status::Draft, Language::Chinese) => "【草稿】",
        (Status::Exercise, Language::English) => "[EXERCISE] ",
        (Status::Test, Language::English) => "[TEST] ",
        (Status::Draft, Language::English) => "[DRAFT] ",
    }
}

/// Colour and grade word: `橙色预警（严重）`, `orange warning (severe)`.
#[must_use]
pub fn level(warning: &Warning, language: Language) -> String {
    let (level, severity) = (warning.level, Severity(warning.level));
    match language {
        Language::Chinese => format!("{}预警（{}）", level.zh(), severity.zh()),
        Language::English => format!(
            "{} warning ({})",
            level.word(),
            severity.cap().to_ascii_lowercase()
        ),
    }
}

/// Mark and headline on one line. The headline says colour and kind of the message even if its writer did not.
#[must_use]
pub fn heading(warning: &Warning, language: Language) -> String {
    let headline = headline(warning, language);
    let lower = headline.to_lowercase();
    let colour = match language {
        Language::Chinese => warning.level.zh(),
        Language::English => warning.level.word(),
    };
    let mut heading = mark(warning.status, language).to_owned();
    let (kind, said) = kind(warning.kind, language);
    if !said.is_empty() && !lower.contains(said) {
        heading.push_str(kind);
    }
    if !lower.contains(colour) {
        heading.push_str(&level(warning, language));
        heading.push_str(match language {
            Language::Chinese => "：",
            Language::English => ": ",
        });
    }
    heading + &headline
}

/// The writer's headline without the mark that it may bear already.
fn headline(warning: &Warning, language: Language) -> String {
    let text = clean(language.of(&warning.headline));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return event(warning, language);
    }
    let marks = [
        "（演练）",
        "（测试）",
        "（草稿）",
        "EXERCISE: ",
        "TEST: ",
        "DRAFT: ",
    ];
    let bare = marks.iter().find_map(|mark| line.strip_prefix(mark));
    bare.map_or(line.clone(), str::to_owned)
}

/// What the message does to those before it, and the part of that word which a headline says in any form.
const fn kind(kind: WarningKind, language: Language) -> (&'static str, &'static str) {
    match (kind, language) {
        (WarningKind::Issued, _) => ("", ""),
        (WarningKind::Updated, Language::Chinese) => ("（更新）", "更新"),
        (WarningKind::Corrected, Language::Chinese) => ("（更正）", "更正"),
        (WarningKind::Lifted, Language::Chinese) => ("（解除）", "解除"),
        (WarningKind::Withdrawn, Language::Chinese) => ("（撤销）", "撤销"),
        (WarningKind::Updated, Language::English) => ("Update: ", "update"),
        (WarningKind::Corrected, Language::English) => ("Correction: ", "correct"),
        (WarningKind::Lifted, Language::English) => ("Lifted: ", "lifted"),
        (WarningKind::Withdrawn, Language::English) => ("Withdrawn: ", "withdrawn"),
    }
}

/// Everything else that a recipient wants to know, in the order in which it matters.
#[must_use]
pub fn lines(warning: &Warning, language: Language) -> Vec<Line> {
    let chinese = language == Language::Chinese;
    let since = warning.onset.filter(|_| !warning.kind.ends());
    let rows = [
        (("级别", "Level"), level(warning, language)),
        (("地点", "Where"), area_name(&warning.area, language)),
        (
            ("起始", "Since"),
            since.map_or_else(String::new, |onset| moment(onset, warning, language)),
        ),
        (("情况", "What"), own(language.of(&warning.description))),
        (
            ("处置", "What to do"),
            own(language.of(&warning.instruction)),
        ),
        (
            ("说明", "Note"),
            own(warning.note.as_deref().unwrap_or_default()),
        ),
        (
            ("演练", "Exercise"),
            own(warning.exercise.as_deref().unwrap_or_default()),
        ),
        (("发布", "Issued"), moment(warning.sent, warning, language)),
        (
            ("有效至", "Until"),
            moment(warning.expires, warning, language),
        ),
        (
            ("发布单位", "Issued by"),
            own(language.of(&warning.sender_name)),
        ),
        (("联系", "Contact"), own(&warning.contact)),
        (("编号", "Number"), own(&warning.identifier)),
    ];
    rows.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|((zh, en), text)| Line {
            label: if chinese { zh } else { en },
            text,
        })
        .collect()
}

fn own(text: &str) -> String {
    clean(text).trim().to_owned()
}

/// Local date and time of the warning's place.
fn moment(time: Time, warning: &Warning, language: Language) -> String {
    local(
        time,
        warning,
        match language {
            Language::Chinese => "%Y年%-m月%-d日%H:%M",
            Language::English => "%-d %b %Y %H:%M",
        },
    )
}

/// The same without the year, for where room is short.
pub(crate) fn short_moment(time: Time, warning: &Warning, language: Language) -> String {
    local(
        time,
        warning,
        match language {
            Language::Chinese => "%-m月%-d日%H:%M",
            Language::English => "%-d %b %H:%M",
        },
    )
}

fn local(time: Time, warning: &Warning, form: &str) -> String {
    Timestamp::from_millisecond(time.millis()).map_or_else(
        |_| time.to_string(),
        |at| {
            at.to_zoned(warning.timezone.clone())
                .strftime(form)
                .to_string()
        },
    )
}

/// `text` for HTML, in text and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
