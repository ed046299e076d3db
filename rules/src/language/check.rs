//! From the tree of an expression to the condition that the engine evaluates. Owns what names and functions
//! mean and which mixtures make no sense; reads no text.

use std::ops::Range;

use citywatch_model::{Name, name};

use super::clock;
use super::functions;
use super::syntax::parse;
use super::token::Mistake;
use super::tree::{Comparing, Kind, Tree, holds};
use crate::ast::{Comparison, Condition, Expression, Operator, Proof};

/// What the conditions of one rule name, or the expression of a derived series; gathered over all of them.
pub(super) struct Checker {
    /// What `value` means; a derived series has no such measurement.
    pub(super) own: Option<Name>,
    /// Whether the rule's values are seconds, so that they compare with durations.
    pub(super) in_seconds: bool,
    /// The rule's own measurement first.
    pub inputs: Vec<Name>,
    pub remote: Vec<(Name, Name)>,
    /// Where a derived series first names a measurement of its own sensor, and one of a named sensor.
    pub(super) first_input: Option<Range<usize>>,
    pub(super) first_remote: Option<Range<usize>>,
    pub uses_age: bool,
    /// Whether a function over several sensors is named.
    pub uses_groups: bool,
    pub proofs: usize,
    /// How often a reading was named, to tell constant comparisons.
    pub(super) readings: usize,
    mistakes: Vec<Mistake>,
}

impl Checker {
    /// For a rule of this measurement in this unit.
    pub fn new(measurement: Name, unit: Name) -> Checker {
        Checker {
            own: Some(measurement),
            in_seconds: unit == "s",
            inputs: vec![measurement],
            ..Checker::of_series()
        }
    }

    /// For a derived series.
    pub fn of_series() -> Checker {
        Checker {
            own: None,
            in_seconds: false,
            inputs: Vec::new(),
            remote: Vec::new(),
            first_input: None,
            first_remote: None,
            uses_age: false,
            uses_groups: false,
            proofs: 0,
            readings: 0,
            mistakes: Vec::new(),
        }
    }

    /// Reads one condition of the rule, or else its mistakes.
    pub fn read(&mut self, text: &str) -> Result<Condition, Vec<Mistake>> {
        self.read_as(text, Checker::condition)
    }

    /// Reads a text as what `part` makes of its tree, or else its mistakes.
    pub(super) fn read_as<T>(
        &mut self,
        text: &str,
        part: impl FnOnce(&mut Checker, Tree) -> Option<T>,
    ) -> Result<T, Vec<Mistake>> {
        let (tree, mistakes) = parse(text);
        self.mistakes = mistakes;
        let read = part(self, tree);
        let mut mistakes = std::mem::take(&mut self.mistakes);
        match read {
            Some(read) if mistakes.is_empty() => Ok(read),
            _ => {
                mistakes.sort_by_key(|mistake| mistake.range.start);
                // the first message about a place is the cause of the others
                mistakes.dedup_by_key(|mistake| mistake.range.start);
                Err(mistakes)
            }
        }
    }

    pub(super) fn report(
        &mut self,
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.mistakes.push(Mistake::new(range, message, help));
    }

    fn condition(&mut self, tree: Tree) -> Option<Condition> {
        match tree.kind {
            Kind::Or(parts) => self.conditions(parts).map(Condition::Any),
            Kind::And(parts) => self.conditions(parts).map(Condition::All),
            Kind::Not(inner) => Some(Condition::Not(Box::new(self.condition(*inner)?))),
            Kind::Compare(comparing) => self
                .comparison(*comparing, tree.range)
                .map(Condition::Compare),
            Kind::Call(ref function, _) if function == "unchanged" => self.condition(holds(tree)),
            Kind::Wrong => None,
            Kind::Number(_)
            | Kind::Duration(_)
            | Kind::Distance(_)
            | Kind::Name(_)
            | Kind::Quoted(_)
            | Kind::Call(..)
            | Kind::Negate(_)
            | Kind::Arithmetic(..) => {
                let range = tree.range.clone();
                // a number that is itself wrong needs no second message
                self.number(tree)?;
                let help = "compare it with something, such as `value >= 5`".to_owned();
                self.report(range, "this is a number, not a condition", help);
                None
            }
        }
    }

    /// All of them, looked at even behind a wrong one.
    fn conditions(&mut self, parts: Vec<Tree>) -> Option<Vec<Condition>> {
        let parts: Vec<_> = parts.into_iter().map(|part| self.condition(part)).collect();
        parts.into_iter().collect()
    }

    fn comparison(&mut self, comparing: Comparing, range: Range<usize>) -> Option<Comparison> {
        let readings = self.readings;
        let duration = [&comparing.left, &comparing.right]
            .into_iter()
            .find_map(|side| match side.kind {
                Kind::Duration(duration) => Some((duration, side.range.clone())),
                _ => None,
            });
        let (left, right) = (self.number(comparing.left), self.number(comparing.right));
        let (left, right) = (left?, right?);
        if let Some((duration, place)) = duration
            && !(self.in_seconds || clock::is_time(&left) || clock::is_time(&right))
        {
            // `value > 5m` in a rule about metres would otherwise wait for 300
            let message = format!(
                "`{duration}` is a time of {} s, and this compares no time with it",
                duration.seconds()
            );
            let help = "numbers are in the rule's `unit`: write them without letters".to_owned();
            self.report(place, message, help);
        }
        if let Some((message, help)) = clock::misuse(&left, &right) {
            self.report(range.clone(), message, help.to_owned());
        }
        if self.readings == readings {
            let help = "name `value`, a measurement, `age` or a function of them".to_owned();
            self.report(
                range,
                "this comparison names no reading: it is always the same",
                help,
            );
        }
        let proof = (comparing.lasting.is_some() || comparing.samples.is_some()).then(|| {
            self.proofs += 1;
            Proof {
                slot: self.proofs - 1,
                lasting: comparing.lasting,
                samples: comparing.samples,
            }
        });
        let operator: Operator = comparing.operator;
        Some(Comparison {
            left,
            operator,
            right,
            proof,
        })
    }

    pub(super) fn number(&mut self, tree: Tree) -> Option<Expression> {
        match tree.kind {
            Kind::Number(number) => Some(Expression::Number(number)),
            Kind::Duration(duration) => Some(Expression::Number(duration.seconds())),
            Kind::Name(word) => self.named(&word, tree.range),
            Kind::Quoted(word) => Some(self.newest(name(&word), tree.range)),
            Kind::Distance(_) => {
                let help = format!("write `{}`", functions::shape("near").unwrap_or_default());
                self.report(tree.range, "a distance is no number by itself", help);
                None
            }
            Kind::Call(function, arguments) => self.call(&function, arguments, tree.range),
            Kind::Negate(inner) => Some(Expression::Negate(Box::new(self.number(*inner)?))),
            Kind::Arithmetic(left, operator, right) => {
                let (left, right) = (self.number(*left), self.number(*right));
                Some(Expression::Arithmetic(
                    Box::new(left?),
                    operator,
                    Box::new(right?),
                ))
            }
            Kind::Wrong => None,
            Kind::Compare(_) | Kind::Not(_) | Kind::And(_) | Kind::Or(_) => {
                let help = if self.own.is_some() {
                    "join conditions with `and` or `or`"
                } else {
                    "leave the comparison to a rule over this series"
                };
                self.report(
                    tree.range,
                    "this is a condition, not a number",
                    help.to_owned(),
                );
                None
            }
        }
    }

    pub(super) fn newest(&mut self, measurement: Name, range: Range<usize>) -> Expression {
        self.uses(measurement, range);
        Expression::Newest(measurement)
    }

    /// Notes that a measurement of the own sensor is named.
    pub(super) fn uses(&mut self, measurement: Name, range: Range<usize>) {
        self.readings += 1;
        self.first_input.get_or_insert(range);
        if !self.inputs.contains(&measurement) {
            self.inputs.push(measurement);
        }
    }
}
