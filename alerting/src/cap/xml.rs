//! Writes XML documents into memory. The only file that names the XML library; it knows nothing of CAP or Atom.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// A document being written, two spaces of indent a level.
pub(crate) struct Document {
    writer: Writer<Vec<u8>>,
}

impl Document {
    pub(crate) fn new() -> Document {
        let mut document = Document {
            writer: Writer::new_with_indent(Vec::new(), b' ', 2),
        };
        document.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        document
    }

    /// Begins an element with attributes.
    pub(crate) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.event(Event::Start(
            BytesStart::new(name).with_attributes(attributes.iter().copied()),
        ));
    }

    /// Ends the element that was begun last.
    pub(crate) fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// An element that holds nothing but `text`, which must be free of characters that XML cannot hold.
    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.event(Event::Start(BytesStart::new(name)));
        self.event(Event::Text(BytesText::new(text)));
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// The same, but nothing at all for a blank text.
    pub(crate) fn filled(&mut self, name: &str, text: &str) {
        if !text.trim().is_empty() {
            self.leaf(name, text);
        }
    }

    /// An element without content.
    pub(crate) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.event(Event::Empty(
            BytesStart::new(name).with_attributes(attributes.iter().copied()),
        ));
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        String::from_utf8(self.writer.into_inner()).expect("only strings were written")
    }

    fn event(&mut self, event: Event<'_>) {
        self.writer
            .write_event(event)
            .expect("memory takes every write");
    }
}
