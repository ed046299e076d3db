//! What is wrong with a registry file, in a form that a person can act on.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: Option<u64>,
    /// Column of a CSV, or key of a YAML map.
    pub field: Option<String>,
    /// What was found there.
    pub value: Option<String>,
    /// What is wrong with it and what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn of(file: &Path) -> Problem {
        Problem {
            file: file.to_owned(),
            line: None,
            field: None,
            value: None,
            message: String::new(),
        }
    }

    pub(super) fn line(self, line: u64) -> Problem {
        Problem {
            line: Some(line),
            ..self
        }
    }

    pub(super) fn field(self, field: &str) -> Problem {
        Problem {
            field: Some(field.to_owned()),
            ..self
        }
    }

    pub(super) fn value(self, value: &str) -> Problem {
        Problem {
            value: (!value.is_empty()).then(|| value.to_owned()),
            ..self
        }
    }

    pub(super) fn message(self, message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        if let Some(value) = &self.value {
            write!(f, "`{value}`: ")?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes of a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("{}", self.text())]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn one(problem: Problem) -> Problems {
        Problems(vec![problem])
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn unless_empty(mut self) -> Result<(), Problems> {
        self.0.sort_by_key(|problem| problem.line);
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    fn text(&self) -> String {
        self.0
            .iter()
            .map(Problem::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The bytes of a file without a byte order mark.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problems> {
    let mut bytes = std::fs::read(path).map_err(|error| {
        Problems::one(Problem::of(path).message(format!(
            "cannot be read: {error}: check the path and its permissions"
        )))
    })?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// The text of a file, or where it stops being UTF-8.
pub(super) fn utf8<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, Problems> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        Problems::one(
            Problem::of(path)
                .line(line)
                .message("is not UTF-8: save the file as UTF-8, not as GBK"),
        )
    })
}
