//! A rule or a derived series prepared for running: names replaced by slots, constants folded, thresholds of
//! `age` drawn out (`prepare`). Says what is to be computed at one sensor; holds no sensor's state.

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::{Level as RuleLevel, Name};

use crate::ast::{Arithmetic, Derive, Group, Operator, Proof, Rule, WindowFunction};

/// What a program is for.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// The levels of a rule.
    Judge(Arc<Rule>),
    /// What each sensor contributes to a group that a rule names.
    Contribute(Arc<Rule>, Group),
    /// The newest readings behind a rule of the first stage that escalates.
    Follow(Arc<Rule>),
    /// What a derived series reads at each sensor.
    Derive(Arc<Derive>),
}

/// A prepared rule or derived series.
#[derive(Debug)]
pub(super) struct Program {
    pub task: Task,
    /// Of the rule or the derived series.
    pub id: Name,
    /// Measurement and wanted unit of each input, the rule's own first.
    pub inputs: Vec<(Name, Name)>,
    pub remotes: Vec<RemoteKey>,
    /// Where each of `remotes` stands in the table of remotes.
    pub remote_places: Vec<usize>,
    pub windows: Vec<WindowSpec>,
    pub baselines: Vec<BaselineSpec>,
    pub groups: Vec<Group>,
    /// Slot of the program that contributes to each of `groups`.
    pub group_slots: Vec<u32>,
    /// Of a program that contributes: slot of the rule that it contributes to.
    pub owner: u32,
    pub levels: [Option<Level>; 4],
    pub clear: Option<Test>,
    /// Whether `clear` keeps runs.
    pub clear_is_proven: bool,
    /// What a program without levels computes.
    pub amount: Option<Term>,
    /// Ages at which a comparison flips.
    pub thresholds: Vec<Threshold>,
    /// Slot and `for` in milliseconds of comparisons that name `age`.
    pub clocked: Vec<(usize, i64)>,
    /// Places of the sensors at which the rule runs, kept only for one that others than its own sensor touch.
    pub subjects: BTreeSet<u32>,
    pub uses_age: bool,
    pub hold_ms: i64,
    /// Number of comparisons that need proof.
    pub proofs: usize,
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

#[derive(Debug, PartialEq)]
pub(super) struct BaselineSpec {
    pub input: usize,
    pub days: u16,
}

/// What `age` is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AgeLimit {
    Fixed(i64),
    /// As many times the sensor's interval.
    Intervals(f64),
}

/// An age at which a comparison flips.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold {
    pub limit: AgeLimit,
    /// Milliseconds after it.
    pub plus_ms: i64,
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
    /// Which inputs, remotes and groups it reads.
    pub inputs: Vec<usize>,
    pub remotes: Vec<usize>,
    pub groups: Vec<usize>,
    /// Whether it names `age`, so that its proof is measured on the clock.
    pub clocked: bool,
}

#[derive(Debug)]
pub(super) enum Sides {
    Terms(Term, Term),
    /// `age` on the left.
    AgeAgainst(AgeLimit),
}

#[derive(Debug)]
pub(super) enum Term {
    Number(f64),
    Newest(usize),
    Remote(usize),
    Window(usize),
    Baseline(usize),
    Group(usize),
    Age,
    Interval,
    Negate(Box<Term>),
    Arithmetic(Box<Term>, Arithmetic, Box<Term>),
}

impl AgeLimit {
    /// In milliseconds; `None` if it hangs on an interval that the registry does not give.
    pub(super) fn millis(self, interval_ms: Option<i64>) -> Option<i64> {
        match self {
            AgeLimit::Fixed(millis) => Some(millis),
            // saturates far beyond the span that a time can have
            AgeLimit::Intervals(times) => {
                interval_ms.map(|interval| (times * interval as f64).round() as i64)
            }
        }
    }
}

impl Task {
    pub(super) fn id(&self) -> Name {
        match self {
            Task::Judge(rule) | Task::Contribute(rule, _) | Task::Follow(rule) => rule.info.id,
            Task::Derive(derive) => derive.id,
        }
    }

    /// `where:` of the sensors at which it runs.
    pub(super) fn selector(&self) -> &[(Name, Vec<Name>)] {
        match self {
            Task::Judge(rule) | Task::Follow(rule) => &rule.selector,
            Task::Contribute(..) => &[],
            Task::Derive(derive) => &derive.selector,
        }
    }

    /// Whether the same is computed, so that state can stay.
    pub(super) fn same(&self, other: &Task) -> bool {
        match (self, other) {
            (Task::Judge(one), Task::Judge(two)) | (Task::Follow(one), Task::Follow(two)) => {
                computes_the_same(one, two)
            }
            (Task::Contribute(one, group), Task::Contribute(two, other)) => {
                group == other && computes_the_same(one, two)
            }
            (Task::Derive(one), Task::Derive(two)) => one == two,
            (
                Task::Judge(_) | Task::Contribute(..) | Task::Follow(_) | Task::Derive(_),
                Task::Judge(_) | Task::Contribute(..) | Task::Follow(_) | Task::Derive(_),
            ) => false,
        }
    }
}

/// Whether two rules have the same outcome; what they are called and who is told is left out.
pub(super) fn computes_the_same(one: &Rule, two: &Rule) -> bool {
    let key = |rule: &Rule| (rule.info.id, rule.info.measurement, rule.info.unit);
    key(one) == key(two)
        && one.selector == two.selector
        && RuleLevel::ALL
            .iter()
            .all(|level| one.condition(*level) == two.condition(*level))
        && one.clear == two.clear
        && one.hold == two.hold
        && one.escalate == two.escalate
        && one.second_stage == two.second_stage
}

impl Program {
    /// Whether this judges levels rather than serving others.
    pub(super) fn judges(&self) -> bool {
        matches!(self.task, Task::Judge(_))
    }

    /// Whether it is touched by readings of other sensors.
    pub(super) fn looks_around(&self) -> bool {
        !self.remotes.is_empty() || !self.groups.is_empty()
    }

    /// Whether it has a window or a baseline over `input`.
    pub(super) fn looks_back_on(&self, input: usize) -> bool {
        let windows = self.windows.iter().map(|window| window.input);
        let mut inputs = windows.chain(self.baselines.iter().map(|baseline| baseline.input));
        inputs.any(|looked_at| looked_at == input)
    }

    /// Whether it has one over another measurement than its own.
    pub(super) fn looks_back_on_others(&self) -> bool {
        (1..self.inputs.len()).any(|input| self.looks_back_on(input))
    }

    /// Whether a comparison hangs on the sensor's interval.
    pub(super) fn uses_interval(&self) -> bool {
        let hangs = |threshold: &Threshold| matches!(threshold.limit, AgeLimit::Intervals(_));
        self.thresholds.iter().any(hangs)
    }
}
