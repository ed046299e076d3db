//! A rule after reading and checking: the hand-over from the language to the engine.
//! Plain data; says nothing about how it was written and keeps no state.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name, RuleInfo, name};

/// Rules that are in force together, ordered by id.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Ordered by id, no id twice.
    pub rules: Vec<Arc<Rule>>,
    /// New series, each after those that it is derived from; among those that are free of each other by id. No id twice.
    pub derived: Vec<Arc<Derive>>,
}

/// One checked rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What alerts and warnings quote.
    pub info: RuleInfo,
    /// `where:`; every entry must match, an entry matches if the sensor's tag has any of the values.
    /// `sensor` and `zone` are tags too; `zone` also matches a zone that contains the sensor's own.
    pub selector: Vec<(Name, Vec<Name>)>,
    /// The condition of each level, mildest first; index `level.rank() - 1`.
    pub levels: [Option<Condition>; 4],
    /// What must be true, besides all levels being false, before the alert ends.
    pub clear: Option<Condition>,
    /// How long a level must have been false before it is left.
    pub hold: Duration,
    /// Measurements of the rule's own sensor that it names, `info.measurement` first, none twice.
    pub inputs: Vec<Name>,
    /// Sensors and measurements named by `sensor(ID, MEASUREMENT)`, none twice.
    pub remote: Vec<(Name, Name)>,
    /// `escalate:`.
    pub escalate: Option<Escalate>,
    /// Whether a condition names `age`.
    pub uses_age: bool,
    /// Whether the rule looks at several sensors or at a derived series, so that the second stage evaluates it.
    /// `sensor(ID, MEASUREMENT)` alone does not make it so.
    pub second_stage: bool,
    /// Number of comparisons that carry `for` or `in N samples`; their `Proof::slot` counts from 0.
    pub proofs: usize,
}

/// A three-valued condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// True if all are, false if any is false.
    All(Vec<Condition>),
    /// True if any is, false if all are false.
    Any(Vec<Condition>),
    /// True if false, false if true.
    Not(Box<Condition>),
    /// A comparison, the only leaf.
    Compare(Comparison),
}

/// `left op right [for D] [in N samples]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Left side.
    pub left: Expression,
    /// How the sides are compared.
    pub operator: Operator,
    /// Right side.
    pub right: Expression,
    /// What must be proven beyond one true reading.
    pub proof: Option<Proof>,
}

/// `for D` and `in N samples`; given both, both must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// Index of this comparison's state among the rule's proofs.
    pub slot: usize,
    /// `for D`.
    pub lasting: Option<Duration>,
    /// `in N samples`, at least 1.
    pub samples: Option<u32>,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
}

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

    /// Whether `measurement` is only added and subtracted wherever it is named, so that the number has its unit.
    #[must_use]
    pub fn adds(&self, measurement: Name) -> bool {
        match self {
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

/// `escalate:`: where at least `sensors` subjects of the rule within `within_m` metres of each other's own
/// place are at a level or above, the level is one higher there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Escalate {
    /// Metres from the subject.
    pub within_m: f64,
    /// The subject itself counts; at least 2.
    pub sensors: u32,
}

/// A new series.
#[derive(Debug, Clone, PartialEq)]
pub struct Derive {
    /// Names it in messages; unique among derived series. That of a [`Method::Named`] is also the id of the
    /// sensor that it belongs to.
    pub id: Name,
    /// What it measures.
    pub measurement: Name,
    /// In which unit.
    pub unit: Name,
    /// `where:` of the sensors that it is made at or from, as in a rule.
    pub selector: Vec<(Name, Vec<Name>)>,
    /// How it is made.
    pub method: Method,
}

impl Derive {
    /// The measurements that it makes: its own, and the codes behind a fire weather index.
    #[must_use]
    pub fn makes(&self) -> Vec<Name> {
        let mut makes = vec![self.measurement];
        if matches!(self.method, Method::FireWeather(_)) {
            makes.extend(FireWeather::CODES.map(name));
        }
        makes
    }
}

/// How a derived series is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// `value:` at each selected sensor that has its first measurement: one value per event time (with `align`, per
    /// bucket, at its beginning) once every input has one for it. An expression with windows has one per event time
    /// that is the newest of all its inputs.
    Each {
        /// The expression.
        value: Expression,
        /// Measurements that it names, none twice, at least one.
        inputs: Vec<Name>,
        /// Buckets of this length since 1970 UTC; only where the expression is plain.
        align: Option<Duration>,
    },
    /// `value:` over named sensors, at a sensor that the registry need not know: one value per event time (with
    /// `align`, per bucket, at its beginning) once every input has one for it.
    Named {
        /// The expression.
        value: Expression,
        /// Sensors and measurements that it names, none twice, at least one.
        inputs: Vec<(Name, Name)>,
        /// Buckets of this length since 1970 UTC.
        align: Option<Duration>,
    },
    /// `sum:` (or `mean:`, `min:`, `max:`) of a measurement over the selected sensors of each zone, at a sensor
    /// with the id of the zone: one value per event time or bucket once every sensor that is not stale has one.
    Zones {
        /// `Sum`, `Mean`, `Min` or `Max`.
        aggregate: Aggregate,
        /// Of what.
        of: Name,
        /// Buckets of this length since 1970 UTC.
        align: Option<Duration>,
    },
    /// `daily:` at each selected sensor: over the readings between two hours of local time, emitted with the
    /// end as its event time when the clock passes it.
    Daily {
        /// `Mean`, `Min`, `Max` or `Sum`.
        aggregate: Aggregate,
        /// Of what.
        of: Name,
        /// Minutes after local midnight; before `to`.
        from: u16,
        /// Minutes after local midnight, at most 1440; a reading at this very time no longer counts.
        to: u16,
    },
    /// `fwi:` at each selected weather station: the Canadian codes and indices as `ffmc`, `dmc`, `dc`, `isi`,
    /// `bui` and the derived measurement itself for the index, in one observation at local noon.
    FireWeather(FireWeather),
}

/// Which measurements the fire weather index is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct FireWeather {
    /// Converted to Cel.
    pub temperature: Name,
    /// Converted to %.
    pub humidity: Name,
    /// Converted to km/h.
    pub wind: Name,
    /// Converted to mm; summed over the 24 h before noon.
    pub rain: Name,
    /// Codes of the day before the first.
    pub start: [f64; 3],
}

impl FireWeather {
    /// What comes beside the index.
    pub const CODES: [&str; 5] = ["ffmc", "dmc", "dc", "isi", "bui"];
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

impl Rule {
    /// The condition of `level`, if the rule has one.
    #[must_use]
    pub fn condition(&self, level: Level) -> Option<&Condition> {
        self.levels[usize::from(level.rank()) - 1].as_ref()
    }
}
