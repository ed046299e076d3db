//! What the journal holds and the engine reads: everything that can change a result, in one order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Mode, Name, RegistryChange, Time};

/// The place of a record in the journal: 1, 2, 3, … without gaps. 0 is "before the first".
pub type Position = u64;

/// One measured value inside an observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// What was measured.
    pub measurement: Name,
    /// Always finite.
    pub value: f64,
    /// UCUM-like unit as it came; empty if the payload named none.
    pub unit: Name,
}

/// Marks on an observation, one bit each.
pub mod flags {
    /// The payload had no event time; the arrival time stands for it.
    pub const NO_TIME: u8 = 1;
    /// The event time lay more than five minutes ahead of the arrival and was replaced by it.
    pub const FUTURE: u8 = 2;
    /// The sensor is not in the registry.
    pub const UNKNOWN_SENSOR: u8 = 4;
    /// A value lies outside the plausible range of the registry. A mark for people: the engine judges each
    /// value by its own registry.
    pub const IMPLAUSIBLE: u8 = 8;
    /// Made from other series by a rule file; never journalled, and no registry says what it may be.
    pub const DERIVED: u8 = 16;
}

/// The readings of one sensor with one event time that arrived together. Rules see it whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Who measured.
    pub sensor: Name,
    /// When it was measured.
    pub time: Time,
    /// When it reached us. In a backtest, the clock.
    pub arrival: Time,
    /// Bits of [`flags`].
    pub flags: u8,
    /// At least one; no measurement twice.
    pub values: SmallVec<[Value; 1]>,
}

/// One rule file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSource {
    /// The file's name, for messages.
    pub file: String,
    /// The YAML text.
    pub text: String,
}

/// The rules that are in force together, with all that engine and alert book need to know about them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RulesInForce {
    /// Version of the bundle that they belong to; 0 outside a service.
    pub version: i64,
    /// Their files.
    pub sources: Vec<RuleSource>,
    /// Version of each rule; absent: unknown.
    pub rule_versions: BTreeMap<Name, i64>,
    /// Modes that stand above what the files say.
    pub modes: BTreeMap<Name, Mode>,
}

impl From<Vec<RuleSource>> for RulesInForce {
    /// Rules without a history, as backtests and tests have them.
    fn from(sources: Vec<RuleSource>) -> RulesInForce {
        RulesInForce {
            sources,
            ..RulesInForce::default()
        }
    }
}

/// Whether a broker link has just come up or gone down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkState {
    /// Readings can arrive again; silence is counted from here.
    Up,
    /// Readings cannot arrive.
    Down,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Readings.
    Observation(Observation),
    /// Nothing but the passing of time.
    Tick,
    /// The service has started; silence is counted from here.
    Start,
    /// A broker link changed; `Up` has the effect of `Start` on silence.
    Link {
        /// The link's name in the configuration.
        link: Name,
        /// What it became.
        state: LinkState,
    },
    /// Sensors were registered, changed or removed.
    Registry(Arc<RegistryChange>),
    /// From here on exactly these rules are in force.
    Rules(Arc<RulesInForce>),
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// Live the arrival time, in a backtest the event time; never falls from one record to the next.
    pub clock: Time,
    /// What it says.
    pub body: Body,
}
