//! What functions of one series mean: windows, `sensor(ID, MEASUREMENT)`, `forecast` and `baseline`, their
//! arguments and their slips. Continues `check`; functions over several sensors are in `groups`.

use std::ops::Range;

use citywatch_model::{Duration, Name, name};

use super::check::Checker;
use super::names::is_function;
use super::suggest;
use super::tree::{Kind, Tree};
use crate::ast::{Arithmetic, Expression, WindowFunction};

/// Functions besides those of windows, and how they are written.
const SHAPES: [(&str, &str); 6] = [
    ("sensor", "sensor(ID, MEASUREMENT)"),
    ("near", "near(MEASUREMENT, 100m, max(value))"),
    ("zone", "zone(MEASUREMENT, mean(value))"),
    ("count_near", "count_near(MEASUREMENT, 100m, value >= 20)"),
    ("forecast", "forecast(1h, 30m)"),
    ("baseline", "baseline(7d)"),
];

/// What people call a function elsewhere, and its name here.
const OTHER_NAMES: [(&str, &str); 16] = [
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
    ("total", "sum"),
    ("predict", "forecast"),
    ("within", "near"),
    ("neighbours", "count_near"),
];

/// How a function other than those of windows is written.
pub(super) fn shape(function: &str) -> Option<&'static str> {
    SHAPES
        .iter()
        .find(|(known, _)| *known == function)
        .map(|(_, shape)| *shape)
}

/// The function among `known` that was probably meant, as a help line.
pub(super) fn meant(function: &str, known: &[&str]) -> String {
    let lower = function.to_lowercase();
    match OTHER_NAMES.iter().find(|(other, _)| *other == lower) {
        Some((_, ours)) if known.contains(ours) => format!("did you mean `{ours}`?"),
        _ => suggest::help(function, known),
    }
}

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
        match function {
            "sensor" => self.remote(arguments, range),
            "forecast" => self.forecast(arguments, range),
            "baseline" => self.baseline(arguments, range),
            "near" | "zone" | "count_near" => self.group(function, arguments, range),
            _ => {
                let windows = WindowFunction::ALL.map(WindowFunction::word);
                let known: Vec<_> = windows
                    .into_iter()
                    .chain(SHAPES.map(|(function, _)| function))
                    .collect();
                let help = meant(function, &known);
                self.report(word, format!("`{function}` is not a function"), help);
                None
            }
        }
    }

    fn window(
        &mut self,
        function: WindowFunction,
        arguments: Vec<Tree>,
        range: Range<usize>,
    ) -> Option<Expression> {
        let mut arguments = arguments.into_iter();
        let shape = format!("{function}(MEASUREMENT, 10m)");
        let (measurement, width) = match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(width), None, _) => (None, width),
            (Some(measurement), Some(width), None) => (Some(measurement), width),
            _ => {
                let help = format!("write `{function}(10m)` or `{shape}`");
                let message = format!("`{function}` takes a window, or a measurement and a window");
                self.report(range, message, help);
                return None;
            }
        };
        let measurement = match measurement {
            None => self.own(&range, &shape),
            Some(tree) => self.measurement_argument(tree, &shape),
        };
        let width = self.width(&width, &format!("{function}(10m)` or `{shape}"));
        let (measurement, width) = (measurement?, width?);
        self.uses(measurement, range);
        Some(Expression::Window {
            function,
            measurement,
            width,
        })
    }

    /// newest value + slope over the window x lead
    fn forecast(&mut self, arguments: Vec<Tree>, range: Range<usize>) -> Option<Expression> {
        let shape = "forecast(MEASUREMENT, 1h, 30m)";
        let mut arguments: Vec<_> = arguments.into_iter().map(Some).collect();
        let (measurement, lead, width) = match arguments.as_mut_slice() {
            [lead, width] => (None, lead.take(), width.take()),
            [measurement, lead, width] => (measurement.take(), lead.take(), width.take()),
            _ => {
                let message = "`forecast` takes how far ahead to look and a window";
                let help = format!("write `forecast(1h, 30m)` or `{shape}`");
                self.report(range, message, help);
                return None;
            }
        };
        let measurement = match measurement {
            None => self.own(&range, shape),
            Some(tree) => self.measurement_argument(tree, shape),
        };
        let shapes = format!("forecast(1h, 30m)` or `{shape}");
        let lead = self.time_argument(&lead?, "the time ahead", &shapes);
        let width = self.width(&width?, &shapes);
        let (measurement, lead, width) = (measurement?, lead?, width?);
        self.uses(measurement, range);
        let slope = Expression::Window {
            function: WindowFunction::Slope,
            measurement,
            width,
        };
        // slopes are per hour
        let hours = Expression::Number(lead.seconds() / 3_600.0);
        let gain = Expression::Arithmetic(Box::new(slope), Arithmetic::Multiply, Box::new(hours));
        Some(Expression::Arithmetic(
            Box::new(Expression::Newest(measurement)),
            Arithmetic::Add,
            Box::new(gain),
        ))
    }

    fn baseline(&mut self, arguments: Vec<Tree>, range: Range<usize>) -> Option<Expression> {
        let shape = "baseline(MEASUREMENT, 7d)";
        let mut arguments: Vec<_> = arguments.into_iter().map(Some).collect();
        let (measurement, days) = match arguments.as_mut_slice() {
            [days] => (None, days.take()),
            [measurement, days] => (measurement.take(), days.take()),
            _ => {
                let message = "`baseline` takes a number of days, or a measurement and days";
                self.report(range, message, format!("write `baseline(7d)` or `{shape}`"));
                return None;
            }
        };
        let measurement = match measurement {
            None => self.own(&range, shape),
            Some(tree) => self.measurement_argument(tree, shape),
        };
        let days = self.days(&days?);
        let (measurement, days) = (measurement?, days?);
        self.uses(measurement, range);
        Some(Expression::Baseline { measurement, days })
    }

    fn days(&mut self, tree: &Tree) -> Option<u16> {
        const DAY_MS: i64 = 86_400_000;
        let span = match tree.kind {
            Kind::Wrong => return None,
            Kind::Duration(span) => Some(span.millis()),
            _ => None,
        };
        let days = span
            .filter(|millis| millis % DAY_MS == 0)
            .and_then(|millis| u16::try_from(millis / DAY_MS).ok())
            .filter(|days| (1..=60).contains(days));
        if days.is_none() {
            let message = "a baseline is made of whole days, from 1d to 60d";
            let meant = match tree.kind {
                Kind::Number(number) if (1.0..=60.0).contains(&number) => number.trunc(),
                _ => 7.0,
            };
            self.report(tree.range.clone(), message, format!("write `{meant}d`"));
        }
        days
    }

    /// The measurement that a function is about if it names none.
    fn own(&mut self, range: &Range<usize>, shape: &str) -> Option<Name> {
        if self.own.is_none() {
            let message = "a function in a derived series must name its measurement";
            self.report(range.clone(), message, format!("write `{shape}`"));
        }
        self.own
    }

    /// A window's width.
    pub(super) fn width(&mut self, tree: &Tree, shape: &str) -> Option<Duration> {
        self.time_argument(tree, "the window", shape)
    }

    fn time_argument(&mut self, tree: &Tree, what: &str, shape: &str) -> Option<Duration> {
        let time = match tree.kind {
            Kind::Duration(duration) => duration,
            // the bounds of `Duration` hold for its seconds too; a sign fails here
            Kind::Number(seconds) => seconds.to_string().parse().unwrap_or(Duration::ZERO),
            Kind::Wrong => return None,
            _ => {
                let message = format!("{what} must be a duration");
                self.report(tree.range.clone(), message, format!("write `{shape}`"));
                return None;
            }
        };
        if time <= Duration::ZERO {
            let message = format!("{what} must be longer than nothing");
            let help = "write a duration such as 10m".to_owned();
            self.report(tree.range.clone(), message, help);
            return None;
        }
        Some(time)
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
        self.first_remote.get_or_insert(range);
        if !self.remote.contains(&(sensor, measurement)) {
            self.remote.push((sensor, measurement));
        }
        Some(Expression::Remote(sensor, measurement))
    }

    pub(super) fn measurement_argument(&mut self, tree: Tree, shape: &str) -> Option<Name> {
        let is_taken = |word: &str| {
            matches!(word, "age" | "interval")
                || WindowFunction::named(word).is_some()
                || is_function(word)
        };
        match tree.kind {
            Kind::Name(word) if is_taken(&word) => {
                let message = format!("`{word}` is no measurement");
                let help = format!(
                    "write `{shape}`, or \"{word}\" in quotes if a measurement has this name"
                );
                self.report(tree.range, message, help);
                None
            }
            Kind::Name(word) => self.measurement(&word, tree.range),
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
