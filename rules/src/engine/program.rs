//! A rule prepared for running: names replaced by slots, constants folded, thresholds of `age` drawn out.
//! Says what is to be computed; holds no sensor's state.

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::Name;

use crate::ast::{
    Arithmetic, Comparison, Condition, Expression, Operator, Proof, Rule, WindowFunction,
};

use super::truth::known;

/// A prepared rule.
#[derive(Debug)]
pub(super) struct Program {
    pub rule: Arc<Rule>,
    /// Measurement and wanted unit of each input, the rule's own first.
    pub inputs: Vec<(Name, Name)>,
    pub remotes: Vec<RemoteKey>,
    /// Where each of `remotes` stands in the table of remotes.
    pub remote_places: Vec<usize>,
    pub windows: Vec<WindowSpec>,
    pub levels: [Option<Level>; 4],
    pub clear: Option<Test>,
    /// Ages in milliseconds at which a comparison flips.
    pub thresholds: Vec<i64>,
    /// Slot and `for` in milliseconds of comparisons that name `age`.
    pub clocked: Vec<(usize, i64)>,
    /// Places of the sensors at which the rule runs, kept only for a rule that names remotes.
    pub subjects: BTreeSet<u32>,
}

/// The condition of a level.
#[derive(Debug)]
pub(super) struct Level {
    pub test: Test,
    /// Whether it names `age`, so that its `hold` is measured on the clock.
    pub clocked: bool,
}

/// A measurement at a named sensor, in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteKey {
    pub sensor: Name,
    pub measurement: Name,
    pub unit: Name,
}

#[derive(Debug, PartialEq)]
pub(super) struct WindowSpec {
    pub input: usize,
    pub function: WindowFunction,
    pub width_ms: i64,
}

#[derive(Debug)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Compare(Compare),
}

#[derive(Debug)]
pub(super) struct Compare {
    pub sides: Sides,
    pub operator: Operator,
    pub proof: Option<Proof>,
    /// Which inputs and remotes it reads.
    pub inputs: Vec<usize>,
    pub remotes: Vec<usize>,
    /// Whether it names `age`, so that its proof is measured on the clock.
    pub clocked: bool,
}

#[derive(Debug)]
pub(super) enum Sides {
    Terms(Term, Term),
    /// `age` on the left, milliseconds on the right.
    AgeAgainst(i64),
}

#[derive(Debug)]
pub(super) enum Term {
    Number(f64),
    Newest(usize),
    Remote(usize),
    Window(usize),
    Age,
    Negate(Box<Term>),
    Arithmetic(Box<Term>, Arithmetic, Box<Term>),
}

impl Program {
    pub(super) fn new(rule: &Arc<Rule>) -> Program {
        let mut program = Program {
            inputs: Vec::new(),
            remotes: Vec::new(),
            remote_places: Vec::new(),
            windows: Vec::new(),
            levels: [const { None }; 4],
            clear: None,
            thresholds: Vec::new(),
            clocked: Vec::new(),
            subjects: BTreeSet::new(),
            rule: Arc::clone(rule),
        };
        program.input(rule.info.measurement);
        for measurement in &rule.inputs {
            program.input(*measurement);
        }
        for (place, condition) in rule.levels.iter().enumerate() {
            program.levels[place] = condition.as_ref().map(|condition| {
                let test = program.test(condition);
                Level {
                    clocked: test.clocked(),
                    test,
                }
            });
        }
        program.clear = rule.clear.as_ref().map(|condition| program.test(condition));
        program
    }

    fn unit_of(&self, measurement: Name) -> Name {
        if measurement == self.rule.info.measurement {
            self.rule.info.unit
        } else {
            Name::default()
        }
    }

    fn input(&mut self, measurement: Name) -> usize {
        let wanted = (measurement, self.unit_of(measurement));
        place_of(&mut self.inputs, wanted)
    }

    fn test(&mut self, condition: &Condition) -> Test {
        match condition {
            Condition::All(parts) => Test::All(parts.iter().map(|part| self.test(part)).collect()),
            Condition::Any(parts) => Test::Any(parts.iter().map(|part| self.test(part)).collect()),
            Condition::Not(part) => Test::Not(Box::new(self.test(part))),
            Condition::Compare(comparison) => Test::Compare(self.compare(comparison)),
        }
    }

    fn compare(&mut self, comparison: &Comparison) -> Compare {
        let left = self.term(&comparison.left);
        let right = self.term(&comparison.right);
        let mut compare = Compare {
            sides: Sides::AgeAgainst(0),
            operator: comparison.operator,
            proof: comparison.proof,
            inputs: Vec::new(),
            remotes: Vec::new(),
            clocked: false,
        };
        compare.read(&left, &self.windows);
        compare.read(&right, &self.windows);
        compare.sides = match (left, right) {
            (Term::Age, Term::Number(seconds)) => self.age_against(seconds, compare.operator),
            (Term::Number(seconds), Term::Age) => {
                compare.operator = mirrored(compare.operator);
                self.age_against(seconds, compare.operator)
            }
            (left, right) => Sides::Terms(left, right),
        };
        if let (
            true,
            Some(Proof {
                slot,
                lasting: Some(lasting),
                ..
            }),
        ) = (compare.clocked, compare.proof)
        {
            self.clocked.push((slot, lasting.millis()));
        }
        compare
    }

    fn age_against(&mut self, seconds: f64, operator: Operator) -> Sides {
        // saturates far beyond the span that a time can have
        let limit = (seconds * 1_000.0).round() as i64;
        self.thresholds.push(limit);
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            self.thresholds.push(limit.saturating_add(1));
        }
        Sides::AgeAgainst(limit)
    }

    fn term(&mut self, expression: &Expression) -> Term {
        let term = match expression {
            Expression::Number(number) => Term::Number(*number),
            Expression::Newest(measurement) => Term::Newest(self.input(*measurement)),
            Expression::Remote(sensor, measurement) => {
                let key = RemoteKey {
                    sensor: *sensor,
                    measurement: *measurement,
                    unit: self.unit_of(*measurement),
                };
                Term::Remote(place_of(&mut self.remotes, key))
            }
            Expression::Window {
                function,
                measurement,
                width,
            } => {
                let input = self.input(*measurement);
                let window = WindowSpec {
                    input,
                    function: *function,
                    width_ms: width.millis(),
                };
                Term::Window(place_of(&mut self.windows, window))
            }
            Expression::Age => Term::Age,
            Expression::Negate(inner) => match self.term(inner) {
                Term::Number(number) => Term::Number(-number),
                inner => Term::Negate(Box::new(inner)),
            },
            Expression::Arithmetic(left, operator, right) => Term::Arithmetic(
                Box::new(self.term(left)),
                *operator,
                Box::new(self.term(right)),
            ),
        };
        folded(term)
    }
}

/// Constants become one number; one that is not finite stays as it is and evaluates to unknown.
fn folded(term: Term) -> Term {
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

impl Compare {
    fn read(&mut self, term: &Term, windows: &[WindowSpec]) {
        match term {
            Term::Number(_) => {}
            Term::Newest(input) => self.inputs.push(*input),
            Term::Window(window) => self.inputs.push(windows[*window].input),
            Term::Remote(remote) => self.remotes.push(*remote),
            Term::Age => {
                self.clocked = true;
                self.inputs.push(0);
            }
            Term::Negate(inner) => self.read(inner, windows),
            Term::Arithmetic(left, _, right) => {
                self.read(left, windows);
                self.read(right, windows);
            }
        }
    }
}

impl Test {
    fn clocked(&self) -> bool {
        match self {
            Test::All(parts) | Test::Any(parts) => parts.iter().any(Test::clocked),
            Test::Not(part) => part.clocked(),
            Test::Compare(compare) => compare.clocked,
        }
    }
}

fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Equal | Operator::NotEqual => operator,
    }
}

fn place_of<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    list.iter()
        .position(|held| *held == wanted)
        .unwrap_or_else(|| {
            list.push(wanted);
            list.len() - 1
        })
}
