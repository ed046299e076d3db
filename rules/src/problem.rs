//! Mistakes in rule files, with their place and the way out. Owns how they are printed; does not look for
//! them. The only file that names annotate-snippets.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// What is wrong: lower case, no final dot.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line in question.
    excerpt: String,
    /// The bytes of `excerpt` that the carets stand under.
    marked: Range<usize>,
}

/// Every mistake of every file, in the order of files, lines and columns. Never empty as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// The mistakes.
    pub list: Vec<Problem>,
}

impl Problem {
    /// The mistake at the bytes `range` of `text`. A range of several lines is cut to its first one.
    pub(crate) fn new(file: &str, text: &str, range: Range<usize>, message: String) -> Problem {
        let start = floor_boundary(text, range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let line_end = line_start + text[line_start..line_end].trim_end_matches('\r').len();
        let start = start.min(line_end);
        let end = floor_boundary(text, range.end).clamp(start, line_end);
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        Problem {
            file: file.to_owned(),
            line: line_number(&text[..line_start]),
            column: count(&text[line_start..start]).saturating_add(1),
            message,
            help: None,
            excerpt: text[line_start..line_end].to_owned(),
            marked: start - line_start..end - line_start,
        }
    }

    /// The report with the line and carets under the place, without a final line break.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let snippet = Snippet::source(self.excerpt.as_str())
            .line_start(usize::try_from(self.line).unwrap_or(usize::MAX))
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(self.marked.clone()));
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The report without colour.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Problems {
    /// All reports, an empty line between two.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let reports: Vec<_> = self
            .list
            .iter()
            .map(|problem| problem.render(colour))
            .collect();
        reports.join("\n\n")
    }
}

/// All reports without colour.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

fn line_number(before: &str) -> u32 {
    u32::try_from(before.bytes().filter(|byte| *byte == b'\n').count())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let index = index.min(text.len());
    (0..=index)
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_the_place_whatever_precedes_it() {
        let text = "a: 1\r\n下穿: \tbad one\r\nc: 3";
        let start = text.find("bad").unwrap_or(0);
        let mut problem = Problem::new(
            "rules/a.yaml",
            text,
            start..start + 3,
            "bad is wrong".to_owned(),
        );
        problem.help = Some("write good".to_owned());
        assert_eq!((problem.line, problem.column), (2, 6));
        insta::assert_snapshot!(problem, @"
        error: bad is wrong
         --> rules/a.yaml:2:6
          |
        2 | 下穿:     bad one
          |           ^^^
          |
          = help: write good
        ");
    }

    #[test]
    fn any_range_of_any_text_can_be_shown() {
        for text in ["", "x", "红\n色", "\n\n", "a\tb"] {
            for start in 0..=text.len() + 1 {
                for end in 0..=text.len() + 1 {
                    let problem = Problem::new("f", text, start..end, "m".to_owned());
                    assert!(
                        problem.render(false).starts_with("error: m"),
                        "{text:?} {start} {end}"
                    );
                }
            }
        }
    }
}
