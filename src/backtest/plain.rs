//! The plain threshold that rules are measured against: each comparison `value OP number` that stands
//! un-negated in the condition of a level, without `for`, `in N samples` and windows. `!=` is no threshold: it guards
//! against a value. It is evaluated by the engine itself, as one rule for each rule under test.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name};
use citywatch_rules::ast::{Comparison, Condition, Expression, Operator, Rule, RuleSet};

/// The rules under test with nothing left but their plain thresholds, at level blue, under the same ids.
/// Rules without one are left out.
pub fn plain(rules: &RuleSet) -> RuleSet {
    let mut plain = rules.clone();
    plain.rules = rules
        .rules
        .iter()
        .filter_map(|rule| reduced(rule).map(Arc::new))
        .collect();
    plain
}

fn reduced(rule: &Rule) -> Option<Rule> {
    let mut thresholds = Vec::new();
    for level in rule.levels.iter().flatten() {
        collect(level, rule.info.measurement, true, &mut thresholds);
    }
    if thresholds.is_empty() {
        return None;
    }
    let mut reduced = rule.clone();
    reduced.levels = Default::default();
    reduced.levels[usize::from(Level::Blue.rank()) - 1] = Some(Condition::Any(thresholds));
    reduced.clear = None;
    reduced.hold = Duration::ZERO;
    reduced.remote = Vec::new();
    reduced.uses_age = false;
    reduced.proofs = 0;
    Some(reduced)
}

fn collect(condition: &Condition, value: Name, holds: bool, found: &mut Vec<Condition>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            for part in parts {
                collect(part, value, holds, found);
            }
        }
        Condition::Not(inner) => collect(inner, value, !holds, found),
        Condition::Compare(comparison) => {
            if let Some(threshold) = threshold(comparison, value).filter(|_| holds) {
                let threshold = Condition::Compare(threshold);
                if !found.contains(&threshold) {
                    found.push(threshold);
                }
            }
        }
    }
}

/// The comparison without its proof, the value on the left, if it compares the value with a number.
fn threshold(comparison: &Comparison, value: Name) -> Option<Comparison> {
    let is_value = |side: &Expression| matches!(side, Expression::Newest(name) if *name == value);
    let (left, right) = (&comparison.left, &comparison.right);
    let (left, operator, right) = if is_value(left) && is_number(right) {
        (left, comparison.operator, right)
    } else if is_number(left) && is_value(right) {
        (right, mirrored(comparison.operator), left)
    } else {
        return None;
    };
    if operator == Operator::NotEqual {
        return None;
    }
    Some(Comparison {
        left: left.clone(),
        operator,
        right: right.clone(),
        proof: None,
    })
}

fn is_number(side: &Expression) -> bool {
    match side {
        Expression::Number(_) => true,
        Expression::Negate(inner) => is_number(inner),
        _ => false,
    }
}

const fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Equal => Operator::Equal,
        Operator::NotEqual => Operator::NotEqual,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::RuleSource;

    use super::*;

    /// The thresholds of a rule with this condition of level red, as the language would write them.
    fn thresholds(condition: &str) -> String {
        let text =
            format!("rules:\n  - {{ id: t, measurement: m, levels: {{ red: '{condition}' }} }}\n");
        let source = RuleSource {
            file: "t.yaml".to_owned(),
            text,
        };
        let plain = plain(&citywatch_rules::compile(&[source]).unwrap());
        let Some(rule) = plain.rules.first() else {
            return String::new();
        };
        let Some(Condition::Any(found)) = rule.condition(Level::Blue) else {
            panic!("not a list of thresholds: {rule:?}");
        };
        let shown = found.iter().map(|condition| match condition {
            Condition::Compare(comparison) => {
                assert_eq!(comparison.proof, None);
                format!("{:?} {:?}", comparison.operator, comparison.right)
            }
            other => panic!("not a comparison: {other:?}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn plain_thresholds_are_comparisons_of_the_value_with_a_number() {
        for (condition, expected) in [
            ("value >= 3", "GreaterEqual Number(3.0)"),
            ("value >= 3 for 5m in 2 samples", "GreaterEqual Number(3.0)"),
            ("3 < value", "Greater Number(3.0)"),
            ("value >= 3 and max(1h) > 9", "GreaterEqual Number(3.0)"),
            (
                "value < 1 or (value > 5 and other > 2) or value < 1 for 1m",
                "Less Number(1.0), Greater Number(5.0)",
            ),
            ("not (value > 3)", ""),
            ("not (not (value > 3))", "Greater Number(3.0)"),
            ("rise(1h) >= 3", ""),
            ("other >= 3", ""),
            ("value != 3", ""),
            ("value * 2 >= 3", ""),
        ] {
            assert_eq!(thresholds(condition), expected, "{condition}");
        }
    }
}
