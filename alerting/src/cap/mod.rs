//! CAP 1.2 (OASIS Common Alerting Protocol): one warning as one message, in Chinese and English. It owns the order
//! of elements, the words and the rules of letters of the standard; whatever the warning holds, the text that
//! leaves here is well-formed and valid against the schema. It must never decide whom or when to warn.
//!
//! What a message cannot carry is left out or replaced here, silently, because a warning must go out; [`check`]
//! names every such point for the person who wrote it.

mod check;
mod geometry;
mod language;
mod terms;
mod text;
pub(crate) mod xml;

use citywatch_model::Text;

pub use check::check;
pub use language::Language;
pub use terms::{Severity, Terms, hazard_event};
pub use text::time;
pub(crate) use text::{clean, one_line, token};

use crate::warning::{Area, Code, Scope, Status, Warning, WarningKind};
use xml::Document;

/// Media type of a CAP message.
pub const MEDIA_TYPE: &str = "application/cap+xml";
/// XML namespace of CAP 1.2.
pub const NAMESPACE: &str = "urn:oasis:names:tc:emergency:cap:1.2";
/// The standard asks for about 160 characters.
const HEADLINE_CHARS: usize = 160;
/// Mandatory with scope Restricted.
const RESTRICTION: &str =
    "供有关部门使用，不得向公众发布 / for the departments concerned, not for public release";

/// The message of `warning`, with XML declaration, ready to be stored and sent.
#[must_use]
pub fn render(warning: &Warning) -> String {
    let mut doc = Document::new();
    doc.open("alert", &[("xmlns", NAMESPACE)]);
    doc.leaf("identifier", &token(&warning.identifier));
    doc.leaf("sender", &token(&warning.sender));
    doc.leaf("sent", &time(warning.sent, &warning.timezone));
    doc.leaf("status", warning.status.cap());
    doc.leaf("msgType", warning.kind.cap());
    doc.filled("source", &clean(&warning.cause.sensor));
    match warning.scope {
        Scope::Public => doc.leaf("scope", "Public"),
        Scope::Restricted => {
            doc.leaf("scope", "Restricted");
            doc.leaf("restriction", RESTRICTION);
        }
    }
    doc.filled("note", &note(warning));
    doc.filled("references", &references(warning));
    doc.filled("incidents", &token(&warning.cause.alert_id));
    for language in Language::ALL {
        info(&mut doc, warning, language);
    }
    doc.close("alert");
    doc.finish()
}

fn info(doc: &mut Document, warning: &Warning, language: Language) {
    let terms = Terms::of(warning);
    let local = |text: &Text| clean(language.of(text)).into_owned();
    doc.open("info", &[]);
    doc.leaf("language", language.tag());
    doc.leaf("category", terms.category);
    doc.leaf("event", &event(warning, language));
    doc.leaf("responseType", terms.response);
    doc.leaf("urgency", terms.urgency);
    doc.leaf("severity", terms.severity.cap());
    doc.leaf("certainty", terms.certainty);
    codes(doc, "eventCode", &warning.event_codes);
    if let Some(onset) = warning.onset {
        doc.leaf("onset", &time(onset, &warning.timezone));
    }
    doc.leaf("expires", &time(warning.expires, &warning.timezone));
    doc.filled("senderName", &local(&warning.sender_name));
    doc.filled(
        "headline",
        &one_line(language.of(&warning.headline), HEADLINE_CHARS),
    );
    doc.filled("description", &local(&warning.description));
    doc.filled("instruction", &local(&warning.instruction));
    if let Some(web) = warning.cap_url.as_deref().and_then(text::web) {
        doc.leaf("web", &web);
    }
    doc.filled("contact", &clean(&warning.contact));
    codes(doc, "parameter", &parameters(warning, terms.severity));
    area(doc, &warning.area, language);
    doc.close("info");
}

/// What is happening, in one language: the warning's own words, else the hazard's.
pub(crate) fn event(warning: &Warning, language: Language) -> String {
    let own = clean(language.of(&warning.event));
    if own.trim().is_empty() {
        clean(language.of(&hazard_event(warning.hazard))).into_owned()
    } else {
        own.into_owned()
    }
}

/// Where it holds, in one language; the standard demands some words.
pub(crate) fn area_name(area: &Area, language: Language) -> String {
    let name = clean(language.of(&area.name));
    if name.trim().is_empty() {
        language.nowhere().to_owned()
    } else {
        name.into_owned()
    }
}

/// The drill's id, then the operator's words or, for what must be explained, a standing phrase.
fn note(warning: &Warning) -> String {
    let drill = (warning.status == Status::Exercise).then(|| {
        let id = warning.exercise.as_deref().unwrap_or_default();
        format!("演练 exercise {}", clean(id)).trim_end().to_owned()
    });
    let own = warning
        .note
        .as_deref()
        .map(clean)
        .filter(|note| !note.trim().is_empty());
    let standing = match warning.kind {
        WarningKind::Issued | WarningKind::Updated => None,
        WarningKind::Lifted => Some("解除：危险已过 danger over"),
        WarningKind::Corrected => Some("更正：文字有误 corrected text"),
        WarningKind::Withdrawn => Some("撤销：误报 withdrawn, false alarm"),
    };
    let kind = match (standing, own) {
        (Some(standing), Some(own)) => Some(format!("{standing}: {own}")),
        (Some(standing), None) => Some(standing.to_owned()),
        (None, own) => own.map(std::borrow::Cow::into_owned),
    };
    [drill, kind]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

fn references(warning: &Warning) -> String {
    let item = |earlier: &crate::warning::Reference| {
        format!(
            "{},{},{}",
            token(&earlier.sender),
            token(&earlier.identifier),
            token(&earlier.sent)
        )
    };
    warning
        .references
        .iter()
        .map(item)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What national systems and people on duty ask for and CAP has no element for.
fn parameters(warning: &Warning, severity: Severity) -> Vec<Code> {
    let cause = &warning.cause;
    let value = cause
        .value
        .filter(|value| value.is_finite())
        .map(|value| value.to_string());
    [
        ("level", warning.level.word()),
        ("colour", warning.level.zh()),
        ("grade", severity.zh()),
        ("gb_severity", severity.gb()),
        ("hazard", warning.hazard.as_str()),
        ("alert", &cause.alert_id),
        ("rule", cause.rule.as_str()),
        ("rule_source", &cause.rule_source),
        ("sensor", cause.sensor.as_str()),
        ("measurement", cause.measurement.as_str()),
        ("value", value.as_deref().unwrap_or_default()),
        ("unit", cause.unit.as_str()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| Code {
        name: name.to_owned(),
        value: value.to_owned(),
    })
    .collect()
}

fn area(doc: &mut Document, area: &Area, language: Language) {
    doc.open("area", &[]);
    doc.leaf("areaDesc", &area_name(area, language));
    for polygon in area.shapes.iter().filter_map(geometry::polygon) {
        doc.leaf("polygon", &polygon);
    }
    for circle in area.shapes.iter().filter_map(geometry::circle) {
        doc.leaf("circle", &circle);
    }
    codes(doc, "geocode", &area.geocodes);
    doc.close("area");
}

fn codes(doc: &mut Document, element: &'static str, codes: &[Code]) {
    for code in codes {
        doc.open(element, &[]);
        doc.leaf("valueName", &clean(&code.name));
        doc.leaf("value", &clean(&code.value));
        doc.close(element);
    }
}
