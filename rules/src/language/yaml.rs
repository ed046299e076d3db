//! YAML text as a tree in which every piece knows its bytes in the file. Owns the reading of YAML, knows
//! nothing of rules. Reports duplicate keys and what YAML itself refuses. Together with `place` the only file that names granit-parser.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::source::Source;

/// A value with its place.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Scalar),
    List(Vec<Node>, Range<usize>),
    Map(Map),
}

/// Keys and values in the order of the file, no key twice.
#[derive(Debug)]
pub(super) struct Map {
    pub entries: Vec<(Scalar, Node)>,
    pub span: Range<usize>,
}

/// A text as written, not yet interpreted.
#[derive(Debug)]
pub(super) struct Scalar {
    pub value: String,
    /// Bytes in the file, quotes included.
    pub span: Range<usize>,
    pub style: ScalarStyle,
}

impl Node {
    pub fn span(&self) -> Range<usize> {
        match self {
            Node::Scalar(scalar) => scalar.span.clone(),
            Node::List(_, span) => span.clone(),
            Node::Map(map) => map.span.clone(),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Scalar(scalar) if scalar.is_nothing() => "nothing",
            Node::Scalar(_) => "a text",
            Node::List(..) => "a list",
            Node::Map(_) => "a map of keys",
        }
    }
}

impl Scalar {
    /// Whether YAML reads it as null.
    pub fn is_nothing(&self) -> bool {
        self.style == ScalarStyle::Plain
            && matches!(self.value.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// The first document of a file, as far as it can be read; `None` if it is empty.
pub(super) fn read(source: &mut Source<'_>) -> Option<Node> {
    let options = granit_parser::options! { emit_comments: false, flow_nesting_limit: 16, block_nesting_limit: 32 };
    let events = Parser::new_from_str_with_options(source.text, options);
    let mut reader = Reader {
        events,
        failed: false,
        source,
    };
    let root = loop {
        match reader.next() {
            Some((Event::StreamStart | Event::DocumentStart(..), _)) => {}
            Some((Event::StreamEnd | Event::DocumentEnd, _)) | None => break None,
            Some(event) => break reader.node(event, 0),
        }
    };
    while let Some((event, span)) = reader.next() {
        if matches!(event, Event::DocumentStart(..)) {
            reader.source.report(
                bytes(&span),
                "a second document in one file; write all rules under one `rules:`",
            );
            break;
        }
    }
    root
}

struct Reader<'s, 'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Whether YAML has refused the rest of the file.
    failed: bool,
    source: &'s mut Source<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// The next event; after an error, which is reported, none.
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        if self.failed {
            return None;
        }
        match self.events.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                self.failed = true;
                self.refuse(&error);
                None
            }
        }
    }

    fn refuse(&mut self, error: &ScanError) {
        let at = error
            .marker()
            .byte_offset()
            .unwrap_or(self.source.text.len());
        let line = self.source.text[..at.min(self.source.text.len())]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let needs_quotes = self.source.text[line..].lines().next().is_some_and(|line| {
            [": %", ": @", ": `", ": >", ": |", ": !", ": &", ": *"]
                .iter()
                .any(|start| line.contains(start))
                || line.matches(": ").count() > 1
        });
        let help = needs_quotes.then(|| {
            "put a text in quotes if it begins with one of % @ ` > | ! & * or holds a colon and a blank".to_owned()
        });
        self.source
            .report_with_help(at..at + 1, format!("not YAML: {}", error.info()), help);
    }

    /// The node that begins with this event. After a YAML error the rules read so far are kept (the lists
    /// and the map around them, `depth` 0 and 1), anything deeper is dropped, so that half a rule is not
    /// blamed for its missing half.
    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Option<Node> {
        let range = bytes(&span);
        match event {
            Event::Scalar(value, style, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&span);
                }
                Some(Node::Scalar(Scalar {
                    value: value.into_owned(),
                    span: range,
                    style,
                }))
            }
            Event::SequenceStart(_, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&span);
                }
                self.list(range, depth)
            }
            Event::MappingStart(_, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&span);
                }
                self.map(range, depth)
            }
            Event::Alias(_) => {
                self.source.report(
                    range,
                    "aliases are not used in rule files: write the value out",
                );
                None
            }
            _ => None,
        }
    }

    fn list(&mut self, start: Range<usize>, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        loop {
            match self.next() {
                Some((Event::SequenceEnd, span)) => {
                    return Some(Node::List(items, start.start..bytes(&span).end));
                }
                Some(event) => items.extend(self.node(event, depth + 1)),
                None => return (depth < 2).then_some(Node::List(items, start)),
            }
        }
    }

    fn map(&mut self, start: Range<usize>, depth: usize) -> Option<Node> {
        let mut entries: Vec<(Scalar, Node)> = Vec::new();
        loop {
            let key = match self.next() {
                Some((Event::MappingEnd, span)) => {
                    let span = start.start..bytes(&span).end;
                    return Some(Node::Map(Map { entries, span }));
                }
                Some(event) => self.node(event, depth + 1),
                None => {
                    return (depth < 1).then_some(Node::Map(Map {
                        entries,
                        span: start,
                    }));
                }
            };
            let value = self.next().and_then(|event| self.node(event, depth + 1));
            match (key, value) {
                (Some(Node::Scalar(key)), Some(value)) => {
                    if entries.iter().any(|(known, _)| known.value == key.value) {
                        self.source.report(
                            key.span.clone(),
                            format!("`{}` stands here twice", key.value),
                        );
                    } else {
                        entries.push((key, value));
                    }
                }
                (Some(key @ (Node::List(..) | Node::Map(_))), _) => {
                    self.source.report(
                        key.span(),
                        format!("a key must be a text, found {}", key.kind()),
                    );
                }
                // reported where it was read
                (None | Some(Node::Scalar(_)), _) => {}
            }
        }
    }

    fn refuse_tag(&mut self, span: &Span) {
        let tag = span.tag_span().unwrap_or(*span);
        let help = "negate with `not`; put a text that begins with `!` in quotes".to_owned();
        self.source.report_with_help(
            bytes(&tag),
            "YAML reads `!` as a tag, and rules have none",
            help,
        );
    }
}

/// Texts are read from memory, so every marker has its byte.
fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start).max(start)
}
