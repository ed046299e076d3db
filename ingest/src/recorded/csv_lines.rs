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
    /// One of those, while it is put together.
    field: Vec<u8>,
    /// Fields of the header.
    count: usize,
}

impl CsvLines {
    /// Reads the first line: the header.
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> csv::Result<CsvLines> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).quoting(false);
        let mut lines = CsvLines {
            reader: builder.from_reader(input),
            line: ByteRecord::new(),
            unquoted: ByteRecord::new(),
            field: Vec::new(),
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

    /// Puts together what commas within quotes took apart, and takes the quotes off; false if one stays open.
    #[cold]
    fn unquote(&mut self) -> bool {
        self.unquoted.clear();
        let mut parts = self.line.iter();
        while let Some(part) = parts.next() {
            let Some(mut rest) = part.strip_prefix(b"\"") else {
                self.unquoted.push_field(part);
                continue;
            };
            self.field.clear();
            while !take_quoted(rest, &mut self.field) {
                let Some(next) = parts.next() else {
                    return false;
                };
                self.field.push(b',');
                rest = next;
            }
            self.unquoted.push_field(&self.field);
        }
        true
    }
}

/// Adds the rest of a part to `field`; true if the quote closes in it. A doubled quote stands for one, and what stands
/// behind the one that closes is taken as it is.
fn take_quoted(mut rest: &[u8], field: &mut Vec<u8>) -> bool {
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        field.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix(b"\"") {
            Some(behind) => {
                field.push(b'"');
                rest = behind;
            }
            None => {
                field.extend_from_slice(rest);
                return true;
            }
        }
    }
    field.extend_from_slice(rest);
    false
}
