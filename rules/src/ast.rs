//! A rule after reading and checking: the hand-over from the language to the engine.
//! Plain data; says nothing about how it was written and keeps no state.

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name, RuleInfo};

/// Rules that are in force together, ordered by id.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Ordered by id, no id twice.
    pub rules: Vec<Arc<Rule>>,
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
    /// Whether a condition names `age`.
    pub uses_age: bool,
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
    /// `-x`
    Negate(Box<Expression>),
    /// `a + b`, `a - b`, `a * b`, `a / b`
    Arithmetic(Box<Expression>, Arithmetic, Box<Expression>),
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
