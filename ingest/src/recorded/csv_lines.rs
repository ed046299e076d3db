//! The lines of a CSV, each taken apart into as many fields as the header has. A line is a row, always: a quote that
//! does not close on its line, or a field too many or too few, spoils this line and no other.

use std::io::{self, BufRead};

use memchr::{memchr, memchr_iter, memchr2};

/// What some programs begin a file in UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) struct CsvLines {
    input: Box<dyn BufRead + Send>,
    line: Fields,
    /// The fields of a line that has quotes.
    unquoted: Fields,
    /// Number of `line`, from 1.
    number: u64,
    /// What ended `line`, unless the file did.
    end: Option<u8>,
    /// Fields of the header.
    count: usize,
}

/// Fields, one behind the other.
#[derive(Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// Where each ends in `text`; between two of them stands a comma.
    ends: Vec<usize>,
}

impl Fields {
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends[before] + 1,
            None => 0,
        };
        Some(&self.text[start..end])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|index| self.get(index))
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn take_apart(&mut self) {
        self.ends.clear();
        self.ends.extend(memchr_iter(b',', &self.text));
        self.ends.push(self.text.len());
    }
}

impl CsvLines {
    /// Reads the first line: the header.
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> io::Result<CsvLines> {
        let mut lines = CsvLines {
            input,
            line: Fields::default(),
            unquoted: Fields::default(),
            number: 0,
            end: None,
            count: 0,
        };
        lines.read()?;
        // before its first name is looked at: a quote may stand behind it
        if lines.line.text.starts_with(BYTE_ORDER_MARK) {
            lines.line.text.drain(..BYTE_ORDER_MARK.len());
            lines.line.take_apart();
        }
        if lines.has_quotes() && lines.unquote() {
            std::mem::swap(&mut lines.line, &mut lines.unquoted);
        }
        lines.count = lines.line.ends.len();
        Ok(lines)
    }

    /// The line as it stands; after [`CsvLines::new`] the names of the header.
    pub(super) fn line(&self) -> &Fields {
        &self.line
    }

    /// Reads the next line that is not empty; false if there is none. Lines end as on any system.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        loop {
            let before = self.end.take();
            self.line.clear();
            while self.end.is_none() {
                let ready = match self.input.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    ready => ready?,
                };
                if ready.is_empty() {
                    break;
                }
                let end = memchr2(b'\n', b'\r', ready);
                self.end = end.map(|end| ready[end]);
                let text = &ready[..end.unwrap_or(ready.len())];
                self.line.text.extend_from_slice(text);
                let used = text.len() + usize::from(end.is_some());
                self.input.consume(used);
            }
            let empty = self.line.text.is_empty();
            if empty && self.end.is_none() {
                return Ok(false);
            }
            // both together end one line
            if !(empty && before == Some(b'\r') && self.end == Some(b'\n')) {
                self.number += 1;
            }
            if !empty {
                self.line.take_apart();
                return Ok(true);
            }
        }
    }

    /// Number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The fields of the line that was read last, or what is wrong with it.
    #[inline]
    pub(super) fn fields(&mut self) -> Result<&Fields, String> {
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
        if fields.ends.len() != self.count {
            return Err(format!(
                "the row has {} fields where the header has {}: write every field, empty where there is nothing, and decimals with a point",
                fields.ends.len(),
                self.count
            ));
        }
        Ok(fields)
    }

    #[inline]
    fn has_quotes(&self) -> bool {
        memchr(b'"', &self.line.text).is_some()
    }

    /// Puts together what commas within quotes took apart, and takes the quotes off; false if one stays open.
    #[cold]
    fn unquote(&mut self) -> bool {
        let Fields { text, ends } = &mut self.unquoted;
        text.clear();
        ends.clear();
        let mut parts = self.line.iter();
        while let Some(part) = parts.next() {
            if !ends.is_empty() {
                text.push(b',');
            }
            match part.strip_prefix(b"\"") {
                None => text.extend_from_slice(part),
                Some(mut rest) => {
                    while !take_quoted(rest, text) {
                        let Some(next) = parts.next() else {
                            return false;
                        };
                        text.push(b',');
                        rest = next;
                    }
                }
            }
            ends.push(text.len());
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

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_byte_order_mark_belongs_to_no_name() {
        for header in [
            "\u{feff}time,x",
            "\u{feff}\"time\",x",
            "\u{feff}\"time\",\"x\"",
            "time,x",
        ] {
            let lines = CsvLines::new(Box::new(header.as_bytes())).unwrap();
            let names: Vec<_> = lines.line().iter().collect();
            assert_eq!(names, [&b"time"[..], b"x"], "{header}");
        }
    }

    #[test]
    fn lines_end_as_on_any_system_wherever_the_buffer_ends() {
        let text = "a,b\r\n1,2\n\n3,4\r5,6\r\n\r\n\"x,\"\"y\",8\n,";
        for buffer in 1..=text.len() {
            let input = BufReader::with_capacity(buffer, text.as_bytes());
            let mut lines = CsvLines::new(Box::new(input)).unwrap();
            let mut rows = Vec::new();
            while lines.read().unwrap() {
                let number = lines.number();
                let fields = lines.fields().unwrap().iter();
                let fields = fields.map(|field| String::from_utf8(field.to_vec()).unwrap());
                rows.push((number, fields.collect::<Vec<_>>().join("|")));
            }
            let expected = [(2, "1|2"), (4, "3|4"), (5, "5|6"), (7, "x,\"y|8"), (8, "|")];
            assert_eq!(
                rows,
                expected.map(|(number, fields)| (number, fields.to_owned())),
                "with a buffer of {buffer}"
            );
        }
    }
}
