//! Transitions on standard output: one JSON object or one line for people each.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use citywatch_model::{Name, Transition};
use citywatch_rules::ast::RuleSet;

use crate::backtest::report::TransitionLine;
use crate::cli::Format;

/// Prints transitions as they come; remembers the first failure and prints nothing after it.
pub struct Printer {
    format: Format,
    units: HashMap<Name, Name>,
    out: BufWriter<io::Stdout>,
    failed: Option<io::Error>,
}

impl Printer {
    pub fn new(format: Format, rules: &RuleSet) -> Printer {
        let units = rules
            .rules
            .iter()
            .map(|rule| (rule.info.id, rule.info.unit))
            .collect();
        Printer {
            format,
            units,
            out: BufWriter::with_capacity(1 << 16, io::stdout()),
            failed: None,
        }
    }

    /// Whether more may come.
    pub fn print(&mut self, transition: &Transition) -> bool {
        if self.failed.is_none() {
            self.failed = self.write(transition).err();
        }
        self.failed.is_none()
    }

    fn write(&mut self, transition: &Transition) -> io::Result<()> {
        let Transition {
            time,
            kind,
            rule,
            subject,
            level,
            value,
            unwatched,
            ..
        } = transition;
        match self.format {
            Format::Jsonl => {
                serde_json::to_writer(&mut self.out, &TransitionLine::from(transition))?;
                self.out.write_all(b"\n")
            }
            Format::Text => {
                let time = time.to_string();
                write!(self.out, "{time:<24} {kind:<6} {level:<6} {rule} {subject}")?;
                if let Some(value) = value {
                    let unit = self.units.get(rule).map_or("", |unit| unit.as_str());
                    let gap = if unit.is_empty() { "" } else { " " };
                    write!(self.out, " {value}{gap}{unit}")?;
                }
                writeln!(self.out, "{}", if *unwatched { " unwatched" } else { "" })
            }
        }
    }

    /// Everything is out.
    ///
    /// # Errors
    /// The first failure.
    pub fn end(mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}
