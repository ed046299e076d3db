//! The lines of a CSV, each taken apart into as many fields as the header has. A line is a row, always: a quote that
//! does not close on its line, or a field too many or too few, spoils this line and no other.

use std::io::BufRead;

use csv::{ByteRecord, Reader, ReaderBuilder};

pub(super) struct CsvLines {
    /// Knows no quotes, or one that does not close would take the rest of the file with it.
    reader: Reader<Box<dyn BufRead + Send>>,
    line: ByteRecord,
    /// The fields of a line that has quotes.
    unquoted: ByteRecord,
    /// Fields of the header.
    count: usize,
}

impl CsvLines {
    /// Reads the first line: the header.
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> csv::Result<CsvLines> {
        let mut lines = CsvLines {
            reader: builder().quoting(false).from_reader(input),
            line: ByteRecord::new(),
            unquoted: ByteRecord::new(),
            count: 0,
        };
        lines.read()?;
        if lines.has_quotes() && lines.unquote() {
            std::mem::swap(&mut lines.line, &mut lines.unquoted);
        }
        lines.count = lines.line.len();
        Ok(lines)
    }

    /// The line as it stands; after [`CsvLines::new`] the names of the header.
    pub(super) fn line(&self) -> &ByteRecord {
        &self.line
    }

    /// Reads the next line; false if there is none.
    pub(super) fn read(&mut self) -> csv::Result<bool> {
        self.reader.read_byte_record(&mut self.line)
    }

    /// Number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        let position = self.line.position();
        position.unwrap_or(self.reader.position()).line()
    }

    /// The fields of the line that was read last, or what is wrong with it.
    #[inline]
    pub(super) fn fields(&mut self) -> Result<&ByteRecord, String> {
        let fields = if self.has_quotes() {
            if !self.unquote() {
                return Err(
                    "a quote opens a field and does not close it on this line: take the quote out, or put the field on one line"
                        .to_owned(),
                );
            }
            &self.unquoted
        } else {
            &self.line
        };
        if fields.len() != self.count {
            return Err(format!(
                "the row has {} fields where the header has {}: write every field, empty where there is nothing, and decimals with a point",
                fields.len(),
                self.count
            ));
        }
        Ok(fields)
    }

    #[inline]
    fn has_quotes(&self) -> bool {
        self.line.as_slice().contains(&b'"')
    }

    /// Takes the line apart once more, now with quotes; false if one stays open.
    #[cold]
    fn unquote(&mut self) -> bool {
        let mut text = Vec::with_capacity(self.line.as_slice().len() + self.line.len());
        for field in &self.line {
            text.extend_from_slice(field);
            text.push(b',');
        }
        // the line's end lies within a field only where a quote is open
        let _ = text.pop();
        text.push(b'\n');
        let mut reader = builder()
            .buffer_capacity(text.len())
            .from_reader(text.as_slice());
        // bytes in memory are always read
        let read = reader.read_byte_record(&mut self.unquoted).is_ok();
        read && self
            .unquoted
            .iter()
            .last()
            .is_some_and(|last| !last.contains(&b'\n'))
    }
}

fn builder() -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true);
    builder
}
