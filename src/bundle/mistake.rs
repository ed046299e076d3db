//! What is wrong in a bundle, in one form for all its parts: for people as text, for screens with its place.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config;

/// One mistake in a bundle
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mistake {
    /// The file
    pub file: String,
    /// From 1; absent if it concerns the file as a whole
    pub line: Option<u32>,
    /// In characters from 1
    pub column: Option<u32>,
    /// What is wrong
    pub message: String,
    /// What to do about it, where the message does not say
    pub help: Option<String>,
    /// All of it for people, with the line and carets under the place where there is one
    pub text: String,
}

impl Mistake {
    /// A mistake that concerns the file as a whole.
    pub fn of_file(file: &str, message: &str) -> Mistake {
        Mistake {
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.to_owned(),
            help: None,
            text: String::new(),
        }
        .written()
    }

    /// The same with its text put together from the rest.
    pub fn written(mut self) -> Mistake {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            (Some(line), None) => format!(":{line}"),
            (None, _) => String::new(),
        };
        self.text = format!("{}{place}: {}", self.file, self.message);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&citywatch_rules::Problem> for Mistake {
    fn from(problem: &citywatch_rules::Problem) -> Mistake {
        Mistake {
            file: problem.file.clone(),
            line: Some(problem.line),
            column: Some(problem.column),
            message: problem.message.clone(),
            help: problem.help.clone(),
            text: problem.to_string(),
        }
    }
}

impl From<&citywatch_rules::ScenarioFailure> for Mistake {
    fn from(failure: &citywatch_rules::ScenarioFailure) -> Mistake {
        Mistake {
            file: failure.file.clone(),
            line: Some(failure.line),
            column: None,
            message: format!(
                "test `{}` of rule `{}` expects `{}` and gets `{}`",
                failure.test, failure.rule, failure.expected, failure.got
            ),
            help: None,
            text: failure.to_string(),
        }
    }
}

impl From<&citywatch_ingest::registry::Problem> for Mistake {
    fn from(problem: &citywatch_ingest::registry::Problem) -> Mistake {
        Mistake {
            file: problem.file.display().to_string(),
            line: problem.line.and_then(|line| u32::try_from(line).ok()),
            column: None,
            message: match (&problem.field, &problem.value) {
                (Some(field), Some(value)) => format!("{field}: `{value}`: {}", problem.message),
                (Some(field), None) => format!("{field}: {}", problem.message),
                (None, Some(value)) => format!("`{value}`: {}", problem.message),
                (None, None) => problem.message.clone(),
            },
            help: None,
            text: problem.to_string(),
        }
    }
}

impl From<&citywatch_alerting::directory::Problem> for Mistake {
    fn from(problem: &citywatch_alerting::directory::Problem) -> Mistake {
        let some = |number: u64| u32::try_from(number).ok().filter(|number| *number > 0);
        Mistake {
            file: problem.file.clone(),
            line: some(problem.line),
            column: some(problem.column),
            message: if problem.field.is_empty() {
                problem.message.clone()
            } else {
                format!("{}: {}", problem.field, problem.message)
            },
            help: None,
            text: problem.to_string(),
        }
    }
}

impl From<&config::Problem> for Mistake {
    fn from(problem: &config::Problem) -> Mistake {
        Mistake {
            file: problem.file.clone(),
            line: u32::try_from(problem.line).ok().filter(|line| *line > 0),
            column: None,
            message: problem.message.clone(),
            help: None,
            text: problem.to_string(),
        }
    }
}
