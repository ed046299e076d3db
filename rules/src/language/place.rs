//! From a byte of a text to its byte in the file, through quotes, escapes, folding and indentation.
//! Continues `yaml`; reads nothing.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::yaml::Scalar;

impl Scalar {
    /// Where in the file these bytes of the value stand. Quotes, escapes, folding and indentation make
    /// value and file differ; both are walked side by side, blanks against blanks.
    pub fn locate(&self, text: &str, part: Range<usize>) -> Range<usize> {
        let mut raw = Raw::new(text, self);
        let mut start = None;
        let mut end = raw.at;
        for (index, letter) in self.value.char_indices() {
            if index >= part.end && start.is_some() {
                break;
            }
            let at = raw.skip_to(letter);
            if index >= part.start && start.is_none() {
                start = Some(at);
            }
            raw.step(letter);
            end = raw.at;
        }
        // past the last letter: the place just behind it
        let start = start.unwrap_or(end);
        start..end.max(start)
    }
}

/// A cursor through a scalar as it stands in the file.
struct Raw<'t> {
    text: &'t str,
    at: usize,
    limit: usize,
    style: ScalarStyle,
}

impl<'t> Raw<'t> {
    fn new(text: &'t str, scalar: &Scalar) -> Raw<'t> {
        let mut raw = Raw {
            text,
            at: scalar.span.start,
            limit: scalar.span.end,
            style: scalar.style,
        };
        match scalar.style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => raw.at += 1,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                if raw.rest().starts_with(['|', '>']) {
                    raw.at += raw.rest().find('\n').map_or(0, |newline| newline + 1);
                }
            }
            ScalarStyle::Plain => {}
        }
        raw
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at.min(self.limit)..self.limit]
    }

    /// Moves to the letter that stands for `letter` of the value; blanks stay where they are.
    fn skip_to(&mut self, letter: char) -> usize {
        if !letter.is_whitespace() {
            loop {
                let blank = self.rest().len() - self.rest().trim_start().len();
                self.at += blank;
                let continued = (self.style == ScalarStyle::DoubleQuoted)
                    .then(|| {
                        ["\\\n", "\\\r\n"]
                            .into_iter()
                            .find(|end| self.rest().starts_with(end))
                    })
                    .flatten();
                let Some(line_end) = continued else { break };
                self.at += line_end.len();
            }
        }
        self.at
    }

    /// Moves past `letter`, which in the file may be an escape.
    fn step(&mut self, letter: char) {
        let rest = self.rest();
        let escaped = match self.style {
            ScalarStyle::SingleQuoted if rest.starts_with("''") => 2,
            ScalarStyle::DoubleQuoted if rest.starts_with('\\') => match rest[1..].chars().next() {
                Some('x') => 4,
                Some('u') => 6,
                Some('U') => 10,
                Some(other) => 1 + other.len_utf8(),
                None => 1,
            },
            _ if rest.starts_with(letter) => letter.len_utf8(),
            // a blank of the value may be a line break with indentation, which `skip_to` jumps over
            _ => 0,
        };
        self.at = (self.at + escaped).min(self.limit);
    }
}
