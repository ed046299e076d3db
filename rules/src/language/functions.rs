//! What functions mean: windows and `sensor(ID, MEASUREMENT)`, their arguments and their slips.
//! Continues `check`.

use std::ops::Range;

use citywatch_model::{Duration, Name, name};

use super::check::{Checker, LATER};
use super::suggest;
use super::tree::{Kind, Tree};
use crate::ast::{Expression, WindowFunction};

/// What people call a function elsewhere, and its name here.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("avg", "mean"),
    ("average", "mean"),
    ("std", "stddev"),
    ("sd", "stddev"),
    ("delta", "change"),
    ("diff", "change"),
    ("increase", "rise"),
    ("drop", "fall"),
    ("trend", "slope"),
    ("rate", "slope"),
    ("minimum", "min"),
    ("maximum", "max"),
];

impl Checker {
    pub(super) fn call(
        &mut self,
        function: &str,
        arguments: Vec<Tree>,
        range: Range<usize>,
    ) -> Option<Expression> {
        let word = range.start..range.start + function.len();
        if let Some(known) = WindowFunction::named(function) {
            return self.window(known, arguments, range);
        }
        if function == "sensor" {
            return self.remote(arguments, range);
        }
        if LATER.contains(&function) {
            self.not_yet(function, word);
            return None;
        }
        let mut known: Vec<_> = WindowFunction::ALL
            .iter()
            .map(|function| function.word())
            .collect();
        known.push("sensor");
        let lower = function.to_lowercase();
        let help = match OTHER_NAMES.iter().find(|(other, _)| *other == lower) {
            Some((_, ours)) => format!("did you mean `{ours}`?"),
            None => suggest::help(function, &known),
        };
        self.report(word, format!("`{function}` is not a function"), help);
        None
    }

    fn window(
        &mut self,
        function: WindowFunction,
        arguments: Vec<Tree>,
        range: Range<usize>,
    ) -> Option<Expression> {
        let mut arguments = arguments.into_iter();
        let (measurement, width) = match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(width), None, _) => (None, width),
            (Some(measurement), Some(width), None) => (Some(measurement), width),
            _ => {
                let help = format!("write `{function}(10m)` or `{function}(MEASUREMENT, 10m)`");
                self.report(
                    range,
                    format!("`{function}` takes a window, or a measurement and a window"),
                    help,
                );
                return None;
            }
        };
        let measurement = match measurement {
            None => Some(self.measurement),
            Some(tree) => self.measurement_argument(tree, &format!("{function}(MEASUREMENT, 10m)")),
        };
        let width = self.width(function, &width);
        let (measurement, width) = (measurement?, width?);
        self.uses(measurement);
        Some(Expression::Window {
            function,
            measurement,
            width,
        })
    }

    fn width(&mut self, function: WindowFunction, tree: &Tree) -> Option<Duration> {
        let width = match tree.kind {
            Kind::Duration(duration) => duration,
            // the bounds of `Duration` hold for its seconds too; a sign fails here
            Kind::Number(seconds) => seconds.to_string().parse().unwrap_or(Duration::ZERO),
            Kind::Wrong => return None,
            _ => {
                let help = format!("write `{function}(10m)` or `{function}(MEASUREMENT, 10m)`");
                self.report(tree.range.clone(), "the window must be a duration", help);
                return None;
            }
        };
        if width <= Duration::ZERO {
            self.report(
                tree.range.clone(),
                "a window must reach back some time",
                "write a window such as 10m".to_owned(),
            );
            return None;
        }
        Some(width)
    }

    fn remote(&mut self, arguments: Vec<Tree>, range: Range<usize>) -> Option<Expression> {
        let mut arguments = arguments.into_iter();
        let (Some(sensor), Some(measurement), None) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            let help = "write `sensor(ID, MEASUREMENT)`".to_owned();
            self.report(range, "`sensor` takes an id and a measurement", help);
            return None;
        };
        let measurement = self.measurement_argument(measurement, "sensor(ID, MEASUREMENT)");
        let sensor = match sensor.kind {
            Kind::Quoted(id) => Some(name(&id)),
            Kind::Wrong => None,
            _ => {
                self.report(
                    sensor.range,
                    "the id of a sensor is missing",
                    "write `sensor(ID, MEASUREMENT)`".to_owned(),
                );
                None
            }
        };
        let (sensor, measurement) = (sensor?, measurement?);
        self.readings += 1;
        if !self.remote.contains(&(sensor, measurement)) {
            self.remote.push((sensor, measurement));
        }
        Some(Expression::Remote(sensor, measurement))
    }

    fn measurement_argument(&mut self, tree: Tree, shape: &str) -> Option<Name> {
        match tree.kind {
            Kind::Name(word) if word != "age" && WindowFunction::named(&word).is_none() => {
                self.measurement(&word, tree.range)
            }
            Kind::Quoted(word) => Some(name(&word)),
            Kind::Wrong => None,
            _ => {
                self.report(
                    tree.range,
                    "the name of a measurement must stand here",
                    format!("write `{shape}`"),
                );
                None
            }
        }
    }
}
