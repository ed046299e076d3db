//! Conditions back to text, such that reading the text gives the same condition. Owns the words of functions
//! and operators; decides nothing.

use std::fmt;

use super::names::is_bare_measurement;
use super::token::is_id_letter;
use crate::ast::{Arithmetic, Comparison, Condition, Expression, Operator, WindowFunction};

impl WindowFunction {
    /// All functions.
    pub const ALL: [WindowFunction; 14] = [
        WindowFunction::Min,
        WindowFunction::Max,
        WindowFunction::First,
        WindowFunction::Last,
        WindowFunction::Rise,
        WindowFunction::Fall,
        WindowFunction::Change,
        WindowFunction::Slope,
        WindowFunction::Span,
        WindowFunction::Unchanged,
        WindowFunction::Sum,
        WindowFunction::Count,
        WindowFunction::Mean,
        WindowFunction::Stddev,
    ];

    /// Its name in rules.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WindowFunction::Min => "min",
            WindowFunction::Max => "max",
            WindowFunction::First => "first",
            WindowFunction::Last => "last",
            WindowFunction::Rise => "rise",
            WindowFunction::Fall => "fall",
            WindowFunction::Change => "change",
            WindowFunction::Slope => "slope",
            WindowFunction::Span => "span",
            WindowFunction::Unchanged => "unchanged",
            WindowFunction::Sum => "sum",
            WindowFunction::Count => "count",
            WindowFunction::Mean => "mean",
            WindowFunction::Stddev => "stddev",
        }
    }

    /// The function of this name.
    #[must_use]
    pub fn named(word: &str) -> Option<WindowFunction> {
        WindowFunction::ALL
            .into_iter()
            .find(|function| function.word() == word)
    }
}

impl fmt::Display for WindowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Operator::Greater => ">",
            Operator::GreaterEqual => ">=",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
        })
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Any(parts) => joined(f, parts, " or ", 1),
            Condition::All(parts) => joined(f, parts, " and ", 2),
            Condition::Not(inner) => {
                f.write_str("not ")?;
                enclosed(f, inner, inner.strength() < 3)
            }
            Condition::Compare(comparison) => comparison.fmt(f),
        }
    }
}

impl Condition {
    /// How tightly its words hold together; what stands inside something as strong needs parentheses.
    fn strength(&self) -> u8 {
        match self {
            Condition::Any(_) => 1,
            Condition::All(_) => 2,
            Condition::Not(_) => 3,
            Condition::Compare(_) => 4,
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Condition],
    word: &str,
    strength: u8,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        enclosed(f, part, part.strength() <= strength)?;
    }
    Ok(())
}

fn enclosed(
    f: &mut fmt::Formatter<'_>,
    inner: &impl fmt::Display,
    parentheses: bool,
) -> fmt::Result {
    if parentheses {
        write!(f, "({inner})")
    } else {
        write!(f, "{inner}")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.operator, self.right)?;
        let Some(proof) = self.proof else {
            return Ok(());
        };
        if let Some(lasting) = proof.lasting {
            write!(f, " for {lasting}")?;
        }
        if let Some(samples) = proof.samples {
            write!(f, " in {samples} samples")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Number(number) => write!(f, "{number}"),
            Expression::Newest(measurement) => measurement_name(f, measurement),
            Expression::Remote(sensor, measurement) => {
                f.write_str("sensor(")?;
                if sensor.chars().all(is_id_letter) {
                    f.write_str(sensor)?
                } else {
                    quoted(f, sensor)?
                }
                f.write_str(", ")?;
                measurement_name(f, measurement)?;
                f.write_str(")")
            }
            Expression::Window {
                function,
                measurement,
                width,
            } => {
                write!(f, "{function}(")?;
                measurement_name(f, measurement)?;
                write!(f, ", {width})")
            }
            Expression::Age => f.write_str("age"),
            Expression::Interval => f.write_str("interval"),
            Expression::Baseline { measurement, days } => {
                f.write_str("baseline(")?;
                measurement_name(f, measurement)?;
                write!(f, ", {days}d)")
            }
            Expression::Group(group) => group.fmt(f),
            Expression::Negate(inner) => {
                f.write_str("-")?;
                // a minus before bare digits would become part of the number
                enclosed(
                    f,
                    inner,
                    inner.strength() < 3 || matches!(**inner, Expression::Number(_)),
                )
            }
            Expression::Arithmetic(left, operator, right) => {
                enclosed(f, left, left.strength() < self.strength())?;
                write!(f, " {operator} ")?;
                enclosed(f, right, right.strength() <= self.strength())
            }
        }
    }
}

impl Expression {
    fn strength(&self) -> u8 {
        match self {
            Expression::Arithmetic(_, Arithmetic::Add | Arithmetic::Subtract, _) => 1,
            Expression::Arithmetic(_, Arithmetic::Multiply | Arithmetic::Divide, _) => 2,
            Expression::Negate(_) => 3,
            Expression::Number(_)
            | Expression::Newest(_)
            | Expression::Remote(..)
            | Expression::Window { .. }
            | Expression::Age
            | Expression::Interval
            | Expression::Baseline { .. }
            | Expression::Group(_) => 4,
        }
    }
}

/// Bare where it cannot be taken for anything else. `value` is what the rule measures, so a measurement of
/// that very name is quoted too.
pub(super) fn measurement_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_bare_measurement(name) {
        f.write_str(name)
    } else {
        quoted(f, name)
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let quote = if name.contains('"') { '\'' } else { '"' };
    write!(f, "{quote}{name}{quote}")
}
