//! Conditions and terms against the state of one sensor, in three-valued logic. Reads everything through
//! [`Scene`]; changes nothing but the runs behind `for` and `in N samples`.

use citywatch_model::Time;

use super::baseline::Recall;
use super::program::{Compare, Program, Sides, Term, Test};
use super::proof::{Instant, Run, prove};
use super::remote::Remote;
use super::series::Series;
use super::terms::calculate;
use super::truth::Truth;
use super::window::Window;
use crate::ast::Operator;

/// From when silence is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AgeBase {
    pub since: Time,
    /// Whether a reading arrived then. Otherwise it is a registration, a start or a reconnection, and the age
    /// is only known to be at least the time since.
    pub heard: bool,
    /// Usual time between two readings at the moment, if the registry gives it.
    pub interval_ms: Option<i64>,
}

impl AgeBase {
    /// For whoever does not name `age`.
    pub(super) fn unasked(interval_ms: Option<i64>) -> AgeBase {
        AgeBase {
            since: Time::MIN,
            heard: false,
            interval_ms,
        }
    }
}

/// What a group of sensors came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct GroupValue {
    pub value: Option<f64>,
    /// Newest event time of a member.
    pub newest: Option<Time>,
    /// Whether this step brought a reading of one.
    pub fresh: bool,
}

/// What an evaluation looks at besides the rule's own state at the sensor.
pub(super) struct Surroundings<'a> {
    pub program: &'a Program,
    pub series: &'a mut [Series],
    pub remotes: &'a [Remote],
    pub groups: &'a [GroupValue],
    /// Number of this step; what it brought is fresh.
    pub step: u64,
    pub clock: Time,
    /// Whether a moment fires, rather than a record being read.
    pub moment: bool,
    pub age: AgeBase,
    pub stale_ms: i64,
}

/// Everything that a rule may look at in one evaluation at one sensor.
pub(super) struct Scene<'a> {
    pub around: &'a Surroundings<'a>,
    /// Which series each input of the program is; `None` if the sensor has not spoken it.
    pub inputs: &'a [Option<u16>],
    pub windows: &'a [Window],
    pub baselines: &'a [Recall],
    /// Newest event time among the rule's inputs at the sensor.
    pub window_end_ms: i64,
}

impl Scene<'_> {
    #[inline]
    pub(super) fn truth(&self, test: &Test, runs: &mut [Option<Run>]) -> Truth {
        match test {
            Test::Compare(compare) => self.compared(compare, runs),
            Test::All(_) | Test::Any(_) | Test::Not(_) => self.combined(test, runs),
        }
    }

    fn combined(&self, test: &Test, runs: &mut [Option<Run>]) -> Truth {
        // no short cut: each comparison keeps its own run
        match test {
            Test::All(parts) => parts
                .iter()
                .fold(Truth::True, |truth, part| truth.min(self.truth(part, runs))),
            Test::Any(parts) => parts.iter().fold(Truth::False, |truth, part| {
                truth.max(self.truth(part, runs))
            }),
            Test::Not(part) => !self.truth(part, runs),
            Test::Compare(compare) => self.compared(compare, runs),
        }
    }

    /// When the rule as a whole stands, for the runs behind `hold`.
    pub(super) fn instant(&self, clocked: bool) -> Instant {
        let remote = self
            .around
            .program
            .remote_places
            .iter()
            .filter_map(|place| self.around.remotes[*place].time);
        let around = self.around.groups.iter().filter_map(|group| group.newest);
        let event_ms = remote
            .chain(around)
            .fold(self.window_end_ms, |newest, time| newest.max(time.millis()));
        self.at(
            if clocked {
                self.around.clock.millis()
            } else {
                event_ms
            },
            !self.around.moment,
            clocked,
        )
    }

    fn at(&self, time_ms: i64, touched: bool, clocked: bool) -> Instant {
        Instant {
            time_ms,
            touched,
            clocked,
            moment: self.around.moment,
            stale_ms: self.around.stale_ms,
        }
    }

    #[inline(always)]
    fn compared(&self, compare: &Compare, runs: &mut [Option<Run>]) -> Truth {
        let truth = match &compare.sides {
            Sides::AgeAgainst(limit) => match limit.millis(self.around.age.interval_ms) {
                Some(limit_ms) => self.age_against(compare.operator, limit_ms),
                None => Truth::Unknown,
            },
            Sides::Terms(left, right) => match (self.term(left), self.term(right)) {
                (Some(left), Some(right)) => Truth::from(holds(compare.operator, left, right)),
                _ => Truth::Unknown,
            },
        };
        match compare.proof {
            // nothing to prove: no need to know when
            Some(proof) if truth != Truth::True => {
                runs[proof.slot] = None;
                truth
            }
            Some(proof) => prove(&mut runs[proof.slot], proof, self.instant_of(compare)),
            None => truth,
        }
    }

    /// Event time of the newest reading that the comparison names, and whether this step brought one.
    #[inline(never)]
    fn instant_of(&self, compare: &Compare) -> Instant {
        let own = compare
            .inputs
            .iter()
            .filter_map(|input| self.input(*input))
            .map(|series| (series.newest, series.fresh));
        let remote = compare
            .remotes
            .iter()
            .map(|remote| self.remote(*remote))
            .map(|remote| (remote.time, remote.fresh));
        let around = compare
            .groups
            .iter()
            .map(|group| &self.around.groups[*group]);
        let mut newest = None;
        let mut touched = false;
        for (time, fresh) in own.chain(remote) {
            newest = newest.max(time);
            touched |= fresh == self.around.step && !self.around.moment;
        }
        for group in around {
            newest = newest.max(group.newest);
            touched |= group.fresh && !self.around.moment;
        }
        let time_ms = match newest {
            _ if compare.clocked => self.around.clock.millis(),
            Some(time) => time.millis(),
            None => self.window_end_ms,
        };
        self.at(time_ms, touched, compare.clocked)
    }

    /// `>` and `>=` alike hold from the very moment on, unless a reading arrives by then; a moment passes by
    /// itself, so a record of the same clock still comes before it.
    fn age_against(&self, operator: Operator, limit_ms: i64) -> Truth {
        let elapsed = self.around.clock.since(self.around.age.since).millis();
        let reached = elapsed > limit_ms || (elapsed == limit_ms && self.around.moment);
        let before = if self.around.age.heard {
            Truth::False
        } else {
            Truth::Unknown
        };
        let at_least = if reached { Truth::True } else { before };
        let equal = if elapsed > limit_ms {
            Truth::False
        } else if self.around.age.heard {
            Truth::from(reached)
        } else {
            Truth::Unknown
        };
        match operator {
            Operator::Greater | Operator::GreaterEqual => at_least,
            Operator::Less | Operator::LessEqual => !at_least,
            Operator::Equal => equal,
            Operator::NotEqual => !equal,
        }
    }

    #[inline]
    pub(super) fn term(&self, term: &Term) -> Option<f64> {
        match term {
            Term::Number(number) => Some(*number),
            Term::Newest(input) => self.newest(*input),
            _ => self.calculated(term),
        }
    }

    fn calculated(&self, term: &Term) -> Option<f64> {
        match term {
            Term::Number(_) | Term::Newest(_) => self.term(term),
            Term::Remote(remote) => {
                let remote = self.remote(*remote);
                let time = remote.time?;
                (self.around.clock.since(time).millis() <= remote.stale_ms).then_some(remote.value)
            }
            Term::Window(place) => self.windows[*place].value,
            Term::Baseline(place) => self.baselines[*place].mean,
            Term::Group(place) => self.around.groups[*place].value,
            Term::Interval => self
                .around
                .age
                .interval_ms
                .map(|interval| interval as f64 / 1_000.0),
            Term::Age => self
                .around
                .age
                .heard
                .then(|| self.around.clock.since(self.around.age.since).seconds()),
            Term::Negate(inner) => self.term(inner).map(|value| -value),
            Term::Arithmetic(left, operator, right) => {
                calculate(self.term(left)?, *operator, self.term(right)?)
            }
        }
    }

    /// The rule's own value is known when it has just arrived; anything else is unknown once it is stale.
    fn newest(&self, input: usize) -> Option<f64> {
        let series = self.input(input)?;
        let time = series.newest?;
        let arrived = input == 0 && series.fresh == self.around.step;
        let current = arrived || self.window_end_ms - time.millis() <= self.around.stale_ms;
        current.then_some(series.value)
    }

    fn input(&self, input: usize) -> Option<&Series> {
        self.inputs[input].map(|place| &self.around.series[usize::from(place)])
    }

    fn remote(&self, remote: usize) -> &Remote {
        &self.around.remotes[self.around.program.remote_places[remote]]
    }
}

pub(super) fn holds(operator: Operator, left: f64, right: f64) -> bool {
    match operator {
        Operator::Greater => left > right,
        Operator::GreaterEqual => left >= right,
        Operator::Less => left < right,
        Operator::LessEqual => left <= right,
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
    }
}
