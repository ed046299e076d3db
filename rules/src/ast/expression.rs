//! What a comparison compares: expressions over the readings of a sensor and of those around it.

use citywatch_model::{Duration, Name};

use super::Operator;

/// A number, or unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A literal; durations are numbers of seconds.
    Number(f64),
    /// Newest value of a measurement at the rule's own sensor; `value` is the rule's measurement.
    Newest(Name),
    /// `sensor(ID, MEASUREMENT)`: newest value at a named sensor.
    Remote(Name, Name),
    /// A function of a window of one measurement at the rule's own sensor.
    Window {
        /// Which function.
        function: WindowFunction,
        /// Over which measurement.
        measurement: Name,
        /// How far the window reaches back from the newest event time.
        width: Duration,
    },
    /// Seconds since the newest reading of the rule's measurement arrived.
    Age,
    /// `interval`: the sensor's usual time between two readings in seconds, while an alert of it is open that
    /// of an alarm. Stands only against `age`, alone or times a constant, as `age > 3 * interval`. Unknown if the
    /// registry does not say.
    Interval,
    /// `baseline(MEASUREMENT, d)`: mean of the readings at the same local hour over the last `days` complete
    /// local days; unknown if fewer than half of these days have such readings.
    Baseline {
        /// Over which measurement.
        measurement: Name,
        /// How many local days before that of the newest event time.
        days: u16,
    },
    /// `near(…)`, `zone(…)`, `count_near(…)`: over other sensors.
    Group(Box<Group>),
    /// `-x`
    Negate(Box<Expression>),
    /// `a + b`, `a - b`, `a * b`, `a / b`
    Arithmetic(Box<Expression>, Arithmetic, Box<Expression>),
}

impl Expression {
    /// Whether it is made of newest values and numbers alone, without windows and the like.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Expression::Number(_) | Expression::Newest(_) | Expression::Remote(..) => true,
            Expression::Negate(inner) => inner.is_plain(),
            Expression::Arithmetic(left, _, right) => left.is_plain() && right.is_plain(),
            Expression::Window { .. }
            | Expression::Baseline { .. }
            | Expression::Group(_)
            | Expression::Age
            | Expression::Interval => false,
        }
    }

    /// What is added and subtracted, in order; the expression itself if it is no sum.
    #[must_use]
    pub fn addends(&self) -> Vec<&Expression> {
        match self {
            Expression::Negate(inner) => inner.addends(),
            Expression::Arithmetic(left, Arithmetic::Add | Arithmetic::Subtract, right) => {
                let mut addends = left.addends();
                addends.append(&mut right.addends());
                addends
            }
            _ => vec![self],
        }
    }

    /// Whether `measurement` is only added and subtracted wherever it is named, so that the number has its unit. A
    /// `forecast` has the unit of what it looks ahead of.
    #[must_use]
    pub fn adds(&self, measurement: Name) -> bool {
        match self {
            Expression::Arithmetic(newest, Arithmetic::Add, gain) if is_forecast(newest, gain) => {
                true
            }
            Expression::Negate(inner) => inner.adds(measurement),
            Expression::Arithmetic(left, Arithmetic::Add | Arithmetic::Subtract, right) => {
                left.adds(measurement) && right.adds(measurement)
            }
            Expression::Arithmetic(left, _, right) => {
                !left.names(measurement) && !right.names(measurement)
            }
            Expression::Window {
                function,
                measurement: of,
                ..
            } => *of != measurement || function.keeps_unit(),
            _ => true,
        }
    }

    fn names(&self, measurement: Name) -> bool {
        match self {
            Expression::Newest(of)
            | Expression::Window {
                measurement: of, ..
            }
            | Expression::Baseline {
                measurement: of, ..
            } => *of == measurement,
            Expression::Negate(inner) => inner.names(measurement),
            Expression::Arithmetic(left, _, right) => {
                left.names(measurement) || right.names(measurement)
            }
            _ => false,
        }
    }
}

/// Whether `newest + gain` is what `forecast` stands for: the newest value and its slope times hours.
fn is_forecast(newest: &Expression, gain: &Expression) -> bool {
    let Expression::Arithmetic(slope, Arithmetic::Multiply, hours) = gain else {
        return false;
    };
    match (newest, &**slope, &**hours) {
        (
            Expression::Newest(of),
            Expression::Window {
                function: WindowFunction::Slope,
                measurement,
                ..
            },
            Expression::Number(_),
        ) => of == measurement,
        _ => false,
    }
}

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A function of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum WindowFunction {
    // closed window [t-w, t]
    Min,
    Max,
    First,
    Last,
    Rise,
    Fall,
    Change,
    Slope,
    Span,
    Unchanged,
    // half-open window (t-w, t], so that increments count once
    Sum,
    Count,
    Mean,
    Stddev,
}

impl WindowFunction {
    /// Whether its result has the unit of the readings.
    #[must_use]
    pub fn keeps_unit(self) -> bool {
        match self {
            WindowFunction::Slope
            | WindowFunction::Span
            | WindowFunction::Unchanged
            | WindowFunction::Count => false,
            WindowFunction::Min
            | WindowFunction::Max
            | WindowFunction::First
            | WindowFunction::Last
            | WindowFunction::Rise
            | WindowFunction::Fall
            | WindowFunction::Change
            | WindowFunction::Sum
            | WindowFunction::Mean
            | WindowFunction::Stddev => true,
        }
    }
}

/// A function over the sensors around the rule's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Which sensors.
    pub reach: Reach,
    /// What they measure.
    pub measurement: Name,
    /// What each of them contributes.
    pub each: Contribution,
    /// How contributions become one number.
    pub aggregate: Aggregate,
}

/// Which sensors a group function looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// Others within this many metres, the sensor itself excluded.
    Near(f64),
    /// All in the sensor's own zone and the zones inside it, the sensor itself included.
    Zone,
}

/// What one sensor contributes to a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contribution {
    /// Its newest value.
    Newest,
    /// A function of a window, which ends at its own newest event time.
    Window(WindowFunction, Duration),
}

/// How contributions become one number. Those that are unknown, and those of stale sensors, do not take part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// Unknown without contributions.
    Min,
    /// Unknown without contributions.
    Max,
    /// Unknown without contributions.
    Mean,
    /// 0 without contributions.
    Sum,
    /// How many satisfy the comparison; 0 without contributions.
    Count(Operator, f64),
}
