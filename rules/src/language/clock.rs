//! What a comparison may say about time: `age`, `interval`, and numbers that are counted in seconds.
//! Looks at finished expressions; reads no text.

use crate::ast::{Aggregate, Arithmetic, Contribution, Expression, Group, WindowFunction};

/// What is wrong with how a comparison names `age` or `interval`, and what to write; `None` if nothing. The
/// moment at which another comparison would flip could not be told, and a watch over silence must not be silent.
pub(super) fn misuse(
    left: &Expression,
    right: &Expression,
) -> Option<(&'static str, &'static str)> {
    let [left_ages, right_ages] = [left, right].map(|side| names(side, &Expression::Age));
    let [left_waits, right_waits] = [left, right].map(|side| names(side, &Expression::Interval));
    if !left_ages && !right_ages {
        return (left_waits || right_waits).then_some((
            "`interval` stands only against `age`",
            "write `age > 3 * interval`, or \"interval\" in quotes if a measurement has this name",
        ));
    }
    let stands_alone = match (left, right) {
        (Expression::Age, limit) | (limit, Expression::Age) => is_limit(limit),
        _ => false,
    };
    (!stands_alone).then_some(if left_waits || right_waits {
        (
            "`age` must stand by itself against a multiple of `interval`",
            "write `age > 3 * interval`, and other conditions beside it",
        )
    } else {
        (
            "`age` must stand by itself against a fixed time",
            "write `age > 60m` or `age > 3 * interval`, and other conditions beside it",
        )
    })
}

/// What `age` may stand against: a constant, `interval`, or one times the other.
fn is_limit(side: &Expression) -> bool {
    match side {
        Expression::Interval => true,
        Expression::Arithmetic(left, Arithmetic::Multiply, right)
            if names(side, &Expression::Interval) =>
        {
            matches!((&**left, &**right), (Expression::Interval, factor) | (factor, Expression::Interval) if is_constant(factor))
        }
        side => is_constant(side),
    }
}

/// Whether `leaf`, one of those without parts, stands anywhere in it.
fn names(expression: &Expression, leaf: &Expression) -> bool {
    match expression {
        Expression::Negate(inner) => names(inner, leaf),
        Expression::Arithmetic(left, _, right) => names(left, leaf) || names(right, leaf),
        Expression::Age
        | Expression::Interval
        | Expression::Number(_)
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Window { .. }
        | Expression::Baseline { .. }
        | Expression::Group(_) => expression == leaf,
    }
}

fn is_constant(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) => true,
        Expression::Negate(inner) => is_constant(inner),
        Expression::Arithmetic(left, _, right) => is_constant(left) && is_constant(right),
        Expression::Age
        | Expression::Interval
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Window { .. }
        | Expression::Baseline { .. }
        | Expression::Group(_) => false,
    }
}

/// Whether a number is made of what is counted in seconds.
pub(super) fn is_time(expression: &Expression) -> bool {
    match expression {
        Expression::Age | Expression::Interval => true,
        Expression::Window { function, .. } => *function == WindowFunction::Span,
        Expression::Group(group) => is_span(group),
        Expression::Negate(inner) => is_time(inner),
        Expression::Arithmetic(left, _, right) => is_time(left) || is_time(right),
        Expression::Number(_)
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Baseline { .. } => false,
    }
}

fn is_span(group: &Group) -> bool {
    let counts = matches!(group.aggregate, Aggregate::Count(..));
    let spans = matches!(group.each, Contribution::Window(WindowFunction::Span, _));
    spans && !counts
}
