//! Three-valued logic (Kleene): no data is neither high nor recovered.

use citywatch_rules::ast::Operator;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

use Truth::{False, True, Unknown};

impl From<bool> for Truth {
    fn from(known: bool) -> Truth {
        if known { True } else { False }
    }
}

pub fn not(truth: Truth) -> Truth {
    match truth {
        True => False,
        False => True,
        Unknown => Unknown,
    }
}

pub fn all(parts: &[Truth]) -> Truth {
    if parts.contains(&False) {
        False
    } else if parts.contains(&Unknown) {
        Unknown
    } else {
        True
    }
}

pub fn any(parts: &[Truth]) -> Truth {
    if parts.contains(&True) {
        True
    } else if parts.contains(&Unknown) {
        Unknown
    } else {
        False
    }
}

/// Both sides rounded to 1e-9, so that 10.1 - 7.1 >= 3 holds.
pub fn compare(left: f64, operator: Operator, right: f64) -> bool {
    let (left, right) = (rounded(left), rounded(right));
    match operator {
        Operator::Greater => left > right,
        Operator::GreaterEqual => left >= right,
        Operator::Less => left < right,
        Operator::LessEqual => left <= right,
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
    }
}

pub fn rounded(value: f64) -> f64 {
    let nearest = (value * 1e9).round() / 1e9;
    if nearest.is_finite() { nearest } else { value }
}
