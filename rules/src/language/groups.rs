//! Functions over several sensors: `near`, `zone` and `count_near`, what each sensor contributes and how
//! contributions become one number. Continues `check`.

use std::ops::Range;

use citywatch_model::Name;

use super::check::Checker;
use super::functions::{meant, shape};
use super::suggest;
use super::tree::{Comparing, Kind, Tree};
use crate::ast::{Aggregate, Contribution, Expression, Group, Operator, Reach, WindowFunction};

/// What `near`, `zone`, `zones:` and `daily:` make of many values.
const AGGREGATES: [(&str, Aggregate); 4] = [
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("mean", Aggregate::Mean),
    ("sum", Aggregate::Sum),
];

impl Checker {
    pub(super) fn group(
        &mut self,
        function: &str,
        arguments: Vec<Tree>,
        range: Range<usize>,
    ) -> Option<Expression> {
        let shape = shape(function).unwrap_or_default();
        let write = format!("write `{shape}`");
        if self.own.is_none() {
            let message = format!("`{function}` has no place in a derived series");
            let help =
                "name measurements or sensors; `zones:` makes one series of a zone".to_owned();
            self.report(range, message, help);
            return None;
        }
        self.uses_groups = true;
        self.readings += 1;
        let mut arguments: Vec<_> = arguments.into_iter().map(Some).collect();
        let (measurement, reach, last) = match (function, arguments.as_mut_slice()) {
            ("zone", [measurement, last]) => (measurement.take(), Some(Reach::Zone), last.take()),
            ("near" | "count_near", [measurement, reach, last]) => {
                let reach = reach.take().and_then(|tree| self.reach(&tree, &write));
                (measurement.take(), reach, last.take())
            }
            _ => {
                let takes = match function {
                    "zone" => "a measurement and a function over the sensors of the zone",
                    "near" => "a measurement, a distance and a function over the sensors around",
                    _ => "a measurement, a distance and a comparison",
                };
                self.report(range, format!("`{function}` takes {takes}"), write);
                return None;
            }
        };
        let measurement = measurement.and_then(|tree| self.measurement_argument(tree, shape));
        let in_seconds = self.in_seconds && measurement == self.own;
        let (aggregate, each) = if function == "count_near" {
            self.satisfying(last?, in_seconds, write)?
        } else {
            self.aggregate(last?, function)?
        };
        Some(Expression::Group(Box::new(Group {
            reach: reach?,
            measurement: measurement?,
            each,
            aggregate,
        })))
    }

    fn reach(&mut self, tree: &Tree, write: &str) -> Option<Reach> {
        match &tree.kind {
            Kind::Distance(metres) => Some(Reach::Near(*metres)),
            Kind::Wrong => None,
            _ => {
                let message = "a distance must stand here";
                self.report(tree.range.clone(), message, write.to_owned());
                None
            }
        }
    }

    /// `max(value)` or `mean(sum(1h))`
    fn aggregate(&mut self, tree: Tree, function: &str) -> Option<(Aggregate, Contribution)> {
        let (word, arguments) = match tree.kind {
            Kind::Call(word, arguments) => (word, arguments),
            Kind::Wrong => return None,
            _ => {
                let message = format!("`{function}` needs min, max, mean or sum over the sensors");
                let help = format!("write `{}`", shape(function).unwrap_or_default());
                self.report(tree.range, message, help);
                return None;
            }
        };
        let aggregate = self.aggregate_named(&word, tree.range.start);
        let mut arguments = arguments.into_iter();
        let (Some(each), None) = (arguments.next(), arguments.next()) else {
            let message = format!("`{word}` over sensors takes what each of them contributes");
            let help = format!("write `{word}(value)` or `{word}(rise(10m))`");
            self.report(tree.range, message, help);
            return None;
        };
        let each = self.contribution(each)?;
        Some((aggregate?, each))
    }

    fn aggregate_named(&mut self, word: &str, start: usize) -> Option<Aggregate> {
        if let Some((_, aggregate)) = AGGREGATES.iter().find(|(known, _)| *known == word) {
            return Some(*aggregate);
        }
        let help = if word == "count" && self.own.is_some() {
            format!("write `{}`", shape("count_near").unwrap_or_default())
        } else {
            meant(word, &AGGREGATES.map(|(known, _)| known))
        };
        let range = start..start + word.len();
        self.report(
            range,
            format!("`{word}` makes no one number of many sensors or readings"),
            help,
        );
        None
    }

    /// `value` or a function of a window that names no measurement.
    fn contribution(&mut self, tree: Tree) -> Option<Contribution> {
        let write = "write `value`, or a function of a window such as `rise(10m)`".to_owned();
        let (word, arguments) = match tree.kind {
            Kind::Name(word) if word == "value" => return Some(Contribution::Newest),
            Kind::Call(word, arguments) => (word, arguments),
            Kind::Wrong => return None,
            Kind::Name(word) if suggest::closest(&word, ["value"]).is_some() => {
                let help = "did you mean `value`?".to_owned();
                self.report(
                    tree.range,
                    format!("`{word}` is not what a sensor can contribute"),
                    help,
                );
                return None;
            }
            _ => {
                let message = "this is not what a sensor can contribute";
                self.report(tree.range, message, write);
                return None;
            }
        };
        let place = tree.range.start..tree.range.start + word.len();
        let Some(function) = WindowFunction::named(&word) else {
            let windows = WindowFunction::ALL.map(WindowFunction::word);
            let help = meant(&word, &windows);
            self.report(
                place,
                format!("`{word}` is not a function of a window"),
                help,
            );
            return None;
        };
        if function == WindowFunction::Unchanged {
            let message = "`unchanged` is a condition, not what a sensor can contribute";
            self.report(place, message, write);
            return None;
        }
        let [width] = arguments.as_slice() else {
            let message =
                format!("`{function}` takes only its window here: the measurement stands in front");
            self.report(tree.range, message, format!("write `{function}(10m)`"));
            return None;
        };
        let width = self.width(width, &format!("{function}(10m)"))?;
        Some(Contribution::Window(function, width))
    }

    /// `value >= 20`, or the other way round.
    fn satisfying(
        &mut self,
        tree: Tree,
        in_seconds: bool,
        write: String,
    ) -> Option<(Aggregate, Contribution)> {
        let comparing = match tree.kind {
            Kind::Compare(comparing) => *comparing,
            Kind::Wrong => return None,
            _ => {
                let message = "`count_near` needs what the sensors to be counted must satisfy";
                self.report(tree.range, message, write);
                return None;
            }
        };
        if comparing.lasting.is_some() || comparing.samples.is_some() {
            let message = "`for` and `in` have no place inside `count_near`";
            let help = "write it behind the comparison of the count".to_owned();
            self.report(tree.range.clone(), message, help);
        }
        let Comparing {
            left,
            operator,
            right,
            ..
        } = comparing;
        let (each, operator, limit) = match (literal(&left), literal(&right)) {
            (None, Some(limit)) => (left, operator, limit),
            (Some(limit), None) => (right, mirrored(operator), limit),
            _ => {
                let message = "`count_near` compares each sensor with a number";
                self.report(tree.range, message, write);
                return None;
            }
        };
        let each = self.contribution(each)?;
        let is_time = in_seconds || matches!(each, Contribution::Window(WindowFunction::Span, _));
        if limit.is_time && !is_time {
            let message = "a time, and this compares no time with it";
            let help = "numbers are in the unit of the measurement: write them without letters";
            self.report(limit.range, message, help.to_owned());
        }
        Some((Aggregate::Count(operator, limit.number), each))
    }

    /// `sum(flow)` of `zones:` and `daily:`.
    pub(super) fn aggregate_of(&mut self, tree: Tree) -> Option<(Aggregate, Name)> {
        let (word, mut arguments) = match tree.kind {
            Kind::Call(word, arguments) => (word, arguments),
            Kind::Wrong => return None,
            _ => {
                let message = "min, max, mean or sum of a measurement must stand here";
                self.report(tree.range, message, "write `sum(flow)`".to_owned());
                return None;
            }
        };
        let aggregate = self.aggregate_named(&word, tree.range.start);
        let of = match (arguments.pop(), arguments.is_empty()) {
            (Some(of), true) => self.measurement_argument(of, &format!("{word}(MEASUREMENT)")),
            _ => {
                let message = format!("`{word}` takes one measurement here");
                self.report(tree.range, message, format!("write `{word}(flow)`"));
                None
            }
        };
        Some((aggregate?, of?))
    }
}

struct Literal {
    number: f64,
    is_time: bool,
    range: Range<usize>,
}

fn literal(tree: &Tree) -> Option<Literal> {
    let (number, is_time) = match &tree.kind {
        Kind::Number(number) => (*number, false),
        Kind::Duration(duration) => (duration.seconds(), true),
        _ => return None,
    };
    let range = tree.range.clone();
    Some(Literal {
        number,
        is_time,
        range,
    })
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
