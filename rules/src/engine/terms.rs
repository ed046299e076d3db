//! What terms are worth before any reading has come: constants, the sides of a comparison with `age`, and the
//! arithmetic that constants and readings share.

use super::program::{AgeLimit, Term};
use super::truth::known;
use crate::ast::{Arithmetic, Operator};

/// Constants become one number; one that is not finite stays as it is and evaluates to unknown.
pub(super) fn folded(term: Term) -> Term {
    if let Term::Arithmetic(left, operator, right) = &term
        && let (Term::Number(left), Term::Number(right)) = (&**left, &**right)
        && let Some(number) = calculate(*left, *operator, *right)
    {
        return Term::Number(number);
    }
    term
}

/// `left operator right`; unknown where it is not finite, such as a division by zero.
pub(super) fn calculate(left: f64, operator: Arithmetic, right: f64) -> Option<f64> {
    known(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
    })
}

/// A number or a number of intervals beside `age`.
pub(super) fn age_limit(term: &Term) -> Option<AgeLimit> {
    match term {
        Term::Number(seconds) => Some(AgeLimit::Fixed((seconds * 1_000.0).round() as i64)),
        _ => intervals(term).map(AgeLimit::Intervals),
    }
}

/// How many times `interval` an expression such as `3 * interval` is.
fn intervals(term: &Term) -> Option<f64> {
    match term {
        Term::Interval => Some(1.0),
        Term::Negate(inner) => intervals(inner).map(|times| -times),
        Term::Arithmetic(left, Arithmetic::Multiply, right) => match (&**left, &**right) {
            (Term::Number(times), inner) | (inner, Term::Number(times)) => {
                intervals(inner).map(|inner| inner * times)
            }
            _ => None,
        },
        Term::Arithmetic(left, Arithmetic::Divide, right) => match &**right {
            Term::Number(part) => intervals(left).map(|times| times / part),
            _ => None,
        },
        _ => None,
    }
}

/// The operator with its sides exchanged.
pub(super) fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Equal | Operator::NotEqual => operator,
    }
}
