//! How the syntax tree becomes a program: each name, window and group gets a slot, constants are folded, and
//! comparisons that time alone can flip are drawn out.

use std::collections::BTreeSet;

use citywatch_model::Name;

use super::program::{
    AgeLimit, BaselineSpec, Compare, Level, Program, RemoteKey, Sides, Task, Term, Test, Threshold,
    WindowSpec,
};
use super::terms::{age_limit, folded, mirrored};
use crate::ast::{
    Comparison, Condition, Contribution, Derive, Expression, Group, Method, Operator, Proof, Rule,
};

impl Program {
    pub(super) fn new(task: Task) -> Program {
        let mut program = Program {
            id: task.id(),
            task,
            inputs: Vec::new(),
            remotes: Vec::new(),
            remote_places: Vec::new(),
            windows: Vec::new(),
            baselines: Vec::new(),
            groups: Vec::new(),
            group_slots: Vec::new(),
            owner: 0,
            levels: [const { None }; 4],
            clear: None,
            clear_is_proven: false,
            amount: None,
            thresholds: Vec::new(),
            clocked: Vec::new(),
            subjects: BTreeSet::new(),
            uses_age: false,
            hold_ms: 0,
            proofs: 0,
        };
        match program.task.clone() {
            Task::Judge(rule) => program.judge(&rule),
            Task::Contribute(rule, group) => program.contribute(&rule, &group),
            Task::Follow(rule) => program.inputs.push((rule.info.measurement, rule.info.unit)),
            Task::Derive(derive) => program.derive(&derive),
        }
        program
    }

    fn judge(&mut self, rule: &Rule) {
        self.uses_age = rule.uses_age;
        self.hold_ms = rule.hold.millis();
        self.proofs = rule.proofs;
        self.input(rule.info.measurement);
        for measurement in &rule.inputs {
            self.input(*measurement);
        }
        for (place, condition) in rule.levels.iter().enumerate() {
            self.levels[place] = condition.as_ref().map(|condition| {
                let test = self.test(condition);
                Level {
                    clocked: test.clocked(),
                    test,
                }
            });
        }
        self.clear = rule.clear.as_ref().map(|condition| self.test(condition));
        self.clear_is_proven = self.clear.as_ref().is_some_and(Test::is_proven);
    }

    fn contribute(&mut self, rule: &Rule, group: &Group) {
        let unit = unit_in(rule, group.measurement);
        self.inputs.push((group.measurement, unit));
        self.amount = Some(match group.each {
            Contribution::Newest => Term::Newest(0),
            Contribution::Window(function, width) => {
                let input = 0;
                let width_ms = width.millis();
                self.windows.push(WindowSpec {
                    input,
                    function,
                    width_ms,
                });
                Term::Window(0)
            }
        });
    }

    fn derive(&mut self, derive: &Derive) {
        match &derive.method {
            Method::Each { value, inputs, .. } => {
                for measurement in inputs {
                    self.input(*measurement);
                }
                self.amount = Some(self.term(value));
            }
            // reads no sensor of its own
            Method::Named { .. } => {}
            Method::Zones { of, .. } | Method::Daily { of, .. } => {
                self.inputs.push((*of, derive.unit))
            }
            Method::FireWeather(weather) => {
                let wanted = [
                    (weather.temperature, "Cel"),
                    (weather.humidity, "%"),
                    (weather.wind, "km/h"),
                    (weather.rain, "mm"),
                ];
                let wanted = wanted.map(|(measurement, unit)| (measurement, Name::from(unit)));
                self.inputs.extend(wanted);
            }
        }
    }

    /// What values of `measurement` are converted to.
    fn unit_of(&self, measurement: Name) -> Name {
        match &self.task {
            Task::Judge(rule) | Task::Contribute(rule, _) | Task::Follow(rule) => {
                unit_in(rule, measurement)
            }
            Task::Derive(derive) => match &derive.method {
                Method::Each { value, .. } if !value.is_plain() && value.adds(measurement) => {
                    derive.unit
                }
                _ => Name::default(),
            },
        }
    }

    fn input(&mut self, measurement: Name) -> usize {
        let wanted = (measurement, self.unit_of(measurement));
        slot_of(&mut self.inputs, wanted)
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
            sides: Sides::AgeAgainst(AgeLimit::Fixed(0)),
            operator: comparison.operator,
            proof: comparison.proof,
            inputs: Vec::new(),
            remotes: Vec::new(),
            groups: Vec::new(),
            clocked: false,
        };
        self.read(&mut compare, &left);
        self.read(&mut compare, &right);
        compare.sides = match (age_limit(&left), age_limit(&right)) {
            (None, Some(limit)) if matches!(left, Term::Age) => {
                self.age_against(limit, compare.operator)
            }
            (Some(limit), None) if matches!(right, Term::Age) => {
                compare.operator = mirrored(compare.operator);
                self.age_against(limit, compare.operator)
            }
            _ => Sides::Terms(left, right),
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

    fn read(&self, compare: &mut Compare, term: &Term) {
        match term {
            Term::Number(_) | Term::Interval => {}
            Term::Newest(input) => compare.inputs.push(*input),
            Term::Window(window) => compare.inputs.push(self.windows[*window].input),
            Term::Baseline(baseline) => compare.inputs.push(self.baselines[*baseline].input),
            Term::Remote(remote) => compare.remotes.push(*remote),
            Term::Group(group) => compare.groups.push(*group),
            Term::Age => {
                compare.clocked = true;
                compare.inputs.push(0);
            }
            Term::Negate(inner) => self.read(compare, inner),
            Term::Arithmetic(left, _, right) => {
                self.read(compare, left);
                self.read(compare, right);
            }
        }
    }

    fn age_against(&mut self, limit: AgeLimit, operator: Operator) -> Sides {
        self.thresholds.push(Threshold { limit, plus_ms: 0 });
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            self.thresholds.push(Threshold { limit, plus_ms: 1 });
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
                Term::Remote(slot_of(&mut self.remotes, key))
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
                Term::Window(slot_of(&mut self.windows, window))
            }
            Expression::Baseline { measurement, days } => {
                let input = self.input(*measurement);
                let baseline = BaselineSpec { input, days: *days };
                Term::Baseline(slot_of(&mut self.baselines, baseline))
            }
            Expression::Group(group) => Term::Group(slot_of(&mut self.groups, (**group).clone())),
            Expression::Age => Term::Age,
            Expression::Interval => Term::Interval,
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

impl Test {
    fn is_proven(&self) -> bool {
        match self {
            Test::All(parts) | Test::Any(parts) => parts.iter().any(Test::is_proven),
            Test::Not(part) => part.is_proven(),
            Test::Compare(compare) => compare.proof.is_some(),
        }
    }

    fn clocked(&self) -> bool {
        match self {
            Test::All(parts) | Test::Any(parts) => parts.iter().any(Test::clocked),
            Test::Not(part) => part.clocked(),
            Test::Compare(compare) => compare.clocked,
        }
    }
}

fn slot_of<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    list.iter()
        .position(|held| *held == wanted)
        .unwrap_or_else(|| {
            list.push(wanted);
            list.len() - 1
        })
}

/// A rule's unit is that of its own measurement; others are taken as they come.
fn unit_in(rule: &Rule, measurement: Name) -> Name {
    if measurement == rule.info.measurement {
        rule.info.unit
    } else {
        Name::default()
    }
}
