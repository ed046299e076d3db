//! A rule after reading and checking: the hand-over from the language to the engine.
//! Plain data; says nothing about how it was written and keeps no state.

mod derive;
mod expression;

use std::sync::Arc;

use citywatch_model::{Duration, Level, Name, RuleInfo};

pub use derive::{Derive, FireWeather, Method};
pub use expression::{
    Aggregate, Arithmetic, Contribution, Expression, Group, Reach, WindowFunction,
};

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

impl Rule {
    /// The condition of `level`, if the rule has one.
    #[must_use]
    pub fn condition(&self, level: Level) -> Option<&Condition> {
        self.levels[usize::from(level.rank()) - 1].as_ref()
    }
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

/// `escalate:`: where at least `sensors` subjects of the rule within `within_m` metres of each other's own
/// place are at a level or above, the level is one higher there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Escalate {
    /// Metres from the subject.
    pub within_m: f64,
    /// The subject itself counts; at least 2.
    pub sensors: u32,
}
