//! The Atom 1.0 feed of CAP messages, for automated triggers: one entry a message with a link to its XML, and the
//! CAP fields that a reader filters by. It lists what it is given; which warnings are shown is its caller's choice.

use citywatch_model::Time;

use crate::cap::xml::Document;
use crate::cap::{self, Language, Terms};
use crate::warning::Warning;

/// A feed holds at most this many entries, the newest.
pub const MAX_ENTRIES: usize = 200;
/// Media type of the feed.
pub const MEDIA_TYPE: &str = "application/atom+xml";
const TITLE_CHARS: usize = 160;

/// What the feed says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// The feed's stable id, an IRI; readers tell feeds by it.
    pub id: String,
    /// Where the feed is read.
    pub self_url: String,
    /// For people.
    pub title: String,
    /// Who publishes it.
    pub author: String,
    /// When anything in it changed last.
    pub updated: Time,
    /// Of the title and of what the entries are to be read in.
    pub language: Language,
}

/// One message in the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEntry {
    id: String,
    cap_url: String,
    sent: Time,
    title: String,
    summary: String,
    fields: Vec<(&'static str, String)>,
}

impl FeedEntry {
    /// The entry of `warning`, whose message is read at `cap_url`.
    #[must_use]
    pub fn new(warning: &Warning, cap_url: &str, language: Language) -> FeedEntry {
        let terms = Terms::of(warning);
        let time = |time| cap::time(time, &warning.timezone);
        let fields = vec![
            (
                "cap:identifier",
                cap::token(&warning.identifier).into_owned(),
            ),
            ("cap:sender", cap::token(&warning.sender).into_owned()),
            ("cap:sent", time(warning.sent)),
            ("cap:status", warning.status.cap().to_owned()),
            ("cap:msgType", warning.kind.cap().to_owned()),
            ("cap:category", terms.category.to_owned()),
            ("cap:event", cap::event(warning, language)),
            ("cap:responseType", terms.response.to_owned()),
            ("cap:urgency", terms.urgency.to_owned()),
            ("cap:severity", terms.severity.cap().to_owned()),
            ("cap:certainty", terms.certainty.to_owned()),
            ("cap:expires", time(warning.expires)),
            ("cap:areaDesc", cap::area_name(&warning.area, language)),
        ];
        FeedEntry {
            id: entry_id(warning),
            cap_url: cap::clean(cap_url).into_owned(),
            sent: warning.sent,
            title: cap::one_line(language.of(&warning.headline), TITLE_CHARS),
            summary: cap::clean(language.of(&warning.description)).into_owned(),
            fields,
        }
    }
}

/// A tag URI (RFC 4151): the sender is the authority, so the id outlives any address of the service.
fn entry_id(warning: &Warning) -> String {
    let sent = warning.sent.to_string();
    let day = sent.split_once('T').map_or(sent.as_str(), |(day, _)| day);
    format!(
        "tag:{},{day}:cap/{}",
        escaped(&warning.sender),
        escaped(&warning.identifier)
    )
}

/// Percent-encodes what a URI cannot hold.
fn escaped(text: &str) -> String {
    let mut uri = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

/// The feed of `entries`, newest first, at most [`MAX_ENTRIES`] of them.
#[must_use]
pub fn atom(entries: &[FeedEntry], head: &FeedHead) -> String {
    let mut newest: Vec<&FeedEntry> = entries.iter().collect();
    newest.sort_by(|a, b| b.sent.cmp(&a.sent).then_with(|| b.id.cmp(&a.id)));
    newest.truncate(MAX_ENTRIES);

    let mut doc = Document::new();
    doc.open(
        "feed",
        &[
            ("xmlns", "http://www.w3.org/2005/Atom"),
            ("xmlns:cap", cap::NAMESPACE),
            ("xml:lang", head.language.tag()),
        ],
    );
    doc.leaf("id", &cap::clean(&head.id));
    doc.leaf("title", &cap::clean(&head.title));
    doc.leaf("updated", &head.updated.to_string());
    doc.open("author", &[]);
    doc.leaf("name", &cap::clean(&head.author));
    doc.close("author");
    doc.empty(
        "link",
        &[
            ("rel", "self"),
            ("type", MEDIA_TYPE),
            ("href", &cap::clean(&head.self_url)),
        ],
    );
    for entry in newest {
        write_entry(&mut doc, entry);
    }
    doc.close("feed");
    doc.finish()
}

/// A message never changes once it is sent, so an entry is updated and published at the same moment.
fn write_entry(doc: &mut Document, entry: &FeedEntry) {
    doc.open("entry", &[]);
    doc.leaf("id", &entry.id);
    doc.leaf("title", &entry.title);
    doc.leaf("updated", &entry.sent.to_string());
    doc.leaf("published", &entry.sent.to_string());
    doc.empty(
        "link",
        &[
            ("rel", "alternate"),
            ("type", cap::MEDIA_TYPE),
            ("href", &entry.cap_url),
        ],
    );
    doc.filled("summary", &entry.summary);
    for (name, value) in &entry.fields {
        doc.leaf(name, value);
    }
    doc.close("entry");
}
