//! From the tree of an expression to the condition that the engine evaluates. Owns what names and functions
//! mean and which mixtures make no sense; reads no text.

use std::ops::Range;

use citywatch_model::{Name, name};

use super::suggest;
use super::syntax::parse;
use super::token::{KEYWORDS, Mistake, is_name_letter};
use super::tree::{Comparing, Kind, Tree, holds};
use crate::ast::{Comparison, Condition, Expression, Operator, Proof, WindowFunction};

/// Functions of the language that the engine does not compute yet. Naming one must not pass for a measurement.
pub(super) const LATER: [&str; 5] = ["near", "zone", "count_near", "baseline", "forecast"];

/// What the conditions of one rule name, gathered over all of them.
pub(super) struct Checker {
    pub(super) measurement: Name,
    /// Whether the rule's values are seconds, so that they compare with durations.
    in_seconds: bool,
    /// The rule's own measurement first.
    pub inputs: Vec<Name>,
    pub remote: Vec<(Name, Name)>,
    pub uses_age: bool,
    pub proofs: usize,
    /// How often a reading was named, to tell constant comparisons.
    pub(super) readings: usize,
    mistakes: Vec<Mistake>,
}

impl Checker {
    /// For a rule of this measurement in this unit.
    pub fn new(measurement: Name, unit: Name) -> Checker {
        Checker {
            measurement,
            in_seconds: unit == "s",
            inputs: vec![measurement],
            remote: Vec::new(),
            uses_age: false,
            proofs: 0,
            readings: 0,
            mistakes: Vec::new(),
        }
    }

    /// Reads one condition of the rule; `None` if there are mistakes.
    pub fn read(&mut self, text: &str) -> Result<Condition, Vec<Mistake>> {
        let (tree, mistakes) = parse(text);
        self.mistakes = mistakes;
        let condition = self.condition(tree);
        let mut mistakes = std::mem::take(&mut self.mistakes);
        match condition {
            Some(condition) if mistakes.is_empty() => Ok(condition),
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
        let place = range.clone();
        let duration = [&comparing.left, &comparing.right]
            .into_iter()
            .find_map(|side| match side.kind {
                Kind::Duration(duration) => Some((duration, side.range.clone())),
                _ => None,
            });
        let (left, right) = (self.number(comparing.left), self.number(comparing.right));
        let (left, right) = (left?, right?);
        if let Some((duration, place)) = duration
            && !(self.in_seconds || is_time(&left) || is_time(&right))
        {
            // `value > 5m` in a rule about metres would otherwise wait for 300
            let message = format!(
                "`{duration}` is a time of {} s, and this compares no time with it",
                duration.seconds()
            );
            let help = "numbers are in the rule's `unit`: write them without letters".to_owned();
            self.report(place, message, help);
        }
        if self.readings == readings {
            let help = "name `value`, a measurement, `age` or a function of them".to_owned();
            self.report(
                range,
                "this comparison names no reading: it is always the same",
                help,
            );
        }
        if misuses_age(&left, &right) || misuses_age(&right, &left) {
            // the moment at which it would flip could not be told, and a watch over silence must not be silent
            let help = "write `age > 60m`, and other conditions beside it".to_owned();
            let message = "`age` must stand by itself against a fixed time";
            self.report(place, message, help);
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
            Kind::Quoted(word) => Some(self.newest(name(&word))),
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
                let help = "join conditions with `and` or `or`".to_owned();
                self.report(tree.range, "this is a condition, not a number", help);
                None
            }
        }
    }

    fn named(&mut self, word: &str, range: Range<usize>) -> Option<Expression> {
        if word == "age" {
            self.uses_age = true;
            self.readings += 1;
            return Some(Expression::Age);
        }
        if let Some(function) = WindowFunction::named(word) {
            let help = format!(
                "write `{function}(10m)`, or \"{word}\" in quotes if a measurement has this name"
            );
            self.report(
                range,
                format!("`{word}` is a function and needs a window"),
                help,
            );
            return None;
        }
        if LATER.contains(&word) {
            self.not_yet(word, range);
            return None;
        }
        self.measurement(word, range)
            .map(|measurement| self.newest(measurement))
    }

    /// The measurement that a bare word means. A slip in `value` or `age` would pass for a measurement that
    /// never speaks, and the rule would be silent for ever; so such a name must be quoted.
    pub(super) fn measurement(&mut self, word: &str, range: Range<usize>) -> Option<Name> {
        if word == "value" {
            return Some(self.measurement);
        }
        if let Some(known) = slip_of(word)
            && *self.measurement != *word
        {
            let help = format!(
                "did you mean `{known}`? If a measurement has this name, write \"{word}\" in quotes"
            );
            self.report(range, format!("`{word}` looks like `{known}`"), help);
            return None;
        }
        if matches!(word, "true" | "false" | "null") {
            self.report(
                range,
                format!("`{word}` means nothing here"),
                "write a comparison".to_owned(),
            );
            return None;
        }
        Some(name(word))
    }

    fn newest(&mut self, measurement: Name) -> Expression {
        self.uses(measurement);
        Expression::Newest(measurement)
    }

    pub(super) fn uses(&mut self, measurement: Name) {
        self.readings += 1;
        if !self.inputs.contains(&measurement) {
            self.inputs.push(measurement);
        }
    }

    pub(super) fn not_yet(&mut self, word: &str, range: Range<usize>) {
        self.report(
            range,
            format!("`{word}` is not available yet"),
            "leave this rule out for now".to_owned(),
        );
    }
}

/// Whether a bare `word` means the measurement of that name and nothing else.
pub(super) fn is_bare_measurement(word: &str) -> bool {
    let reserved = matches!(word, "value" | "age" | "true" | "false" | "null");
    let keyword = KEYWORDS
        .iter()
        .any(|(keyword, _)| word.eq_ignore_ascii_case(keyword));
    let function = WindowFunction::named(word).is_some() || LATER.contains(&word);
    word.starts_with(|c: char| is_name_letter(c) && !c.is_ascii_digit())
        && word.chars().all(is_name_letter)
        && !(reserved || keyword || function || slip_of(word).is_some())
}

/// Whether `side` names `age` otherwise than alone against a constant.
fn misuses_age(side: &Expression, other: &Expression) -> bool {
    match side {
        Expression::Age => !is_constant(other),
        side => names_age(side),
    }
}

fn names_age(expression: &Expression) -> bool {
    match expression {
        Expression::Age => true,
        Expression::Negate(inner) => names_age(inner),
        Expression::Arithmetic(left, _, right) => names_age(left) || names_age(right),
        Expression::Number(_)
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Window { .. } => false,
    }
}

fn is_constant(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) => true,
        Expression::Negate(inner) => is_constant(inner),
        Expression::Arithmetic(left, _, right) => is_constant(left) && is_constant(right),
        Expression::Age
        | Expression::Newest(_)
        | Expression::Remote(..)
        | Expression::Window { .. } => false,
    }
}

/// Whether a number is made of what is counted in seconds.
fn is_time(expression: &Expression) -> bool {
    match expression {
        Expression::Age => true,
        Expression::Window { function, .. } => *function == WindowFunction::Span,
        Expression::Negate(inner) => is_time(inner),
        Expression::Arithmetic(left, _, right) => is_time(left) || is_time(right),
        Expression::Number(_) | Expression::Newest(_) | Expression::Remote(..) => false,
    }
}

/// The word that `word` is one letter away from. `valve` is a real measurement.
fn slip_of(word: &str) -> Option<&'static str> {
    ["value", "age"]
        .into_iter()
        .find(|known| word != "valve" && suggest::is_one_letter_off(word, known))
}
