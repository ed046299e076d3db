//! One rule file under reading and the mistakes found in it so far. Owns nothing but the lists; knows no YAML.

use std::ops::Range;

use citywatch_model::Name;

use crate::problem::Problem;

/// A file and what was found wrong in it.
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub problems: Vec<Problem>,
    /// Subjects that tests expect and do not declare, with their places: derived series of any file may be meant.
    pub subjects: Vec<(Name, Range<usize>)>,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Source<'a> {
        Source {
            file,
            text,
            problems: Vec::new(),
            subjects: Vec::new(),
        }
    }

    /// Notes a mistake at these bytes of the file.
    pub fn report(&mut self, range: Range<usize>, message: impl Into<String>) {
        self.problems
            .push(Problem::new(self.file, self.text, range, message.into()));
    }

    /// The same with a way out.
    pub fn report_with_help(
        &mut self,
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.report(range, message);
        if let Some(problem) = self.problems.last_mut() {
            problem.help = help.into();
        }
    }

    /// The line, counted from 1, in which this byte stands.
    pub fn line(&self, offset: usize) -> u32 {
        Problem::new(self.file, self.text, offset..offset, String::new()).line
    }
}
