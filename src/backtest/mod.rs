//! Backtests: recorded readings through the engine, and what follows from the transitions for the people on
//! duty, the departments, and against labelled events. Knows neither where readings come from nor where the
//! report goes: the command line and the HTTP API call [`run`] alike. Nothing is written and nobody is told.

mod alerts;
pub mod departments;
pub mod difference;
pub mod labels;
mod lanes;
pub mod load;
pub mod noise;
mod plain;
pub mod report;
pub mod score;
mod seen;
pub mod stretch;
mod tally;
#[cfg(test)]
mod tests;
pub mod text;
mod unseen;

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use citywatch_model::{Observation, Registry, Transition};
use citywatch_rules::ast::RuleSet;
use citywatch_rules::{EngineError, Summary};
use jiff::tz::TimeZone;

use alerts::AlertBook;
use departments::Teller;
use lanes::{Lane, Shared};
use noise::RuleNames;
use report::{DataRead, IncompleteSeries, WrongUnit};
use score::Evidence;
use seen::Seen;

pub use departments::Plans;
pub use labels::Labels;
pub use report::Report;

/// What a backtest runs with.
pub struct Task<'a> {
    /// The rules under test, in force from the beginning.
    pub rules: Arc<RuleSet>,
    /// The sensors known from the beginning; others register with their first observation.
    pub registry: &'a Registry,
    /// Rules to compare with: those that the rules under test would replace.
    pub against: Option<Arc<RuleSet>>,
    /// Labelled events to score against.
    pub labels: Option<&'a Labels>,
    /// Departments and plans, to say who would have been told.
    pub plans: Option<Plans<'a>>,
    /// The time zone whose days are counted.
    pub timezone: TimeZone,
    /// Operator positions that share the alerts, at least 1.
    pub positions: u16,
    /// Threads that evaluate rules, for each set of rules.
    pub workers: usize,
    /// Readings an epoch.
    pub epoch: usize,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The engine did not start or stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The readings ended with an error, as their source tells it.
    #[error("the readings end too soon: {0}")]
    Source(String),
    /// Whoever takes the transitions wanted no more.
    #[error("the backtest was stopped")]
    Stopped,
}

/// Replays `source`, in time order but for late rows, hands each transition of the rules under test to `out`, in
/// order, and answers the report. `out` ends the backtest by breaking; ending `source` early ends it with a
/// report on what was read. Blocks; memory grows with the number of alerts, not with that of readings.
///
/// # Errors
/// If the engine cannot run, the source fails, or `out` breaks.
pub fn run<E: Display>(
    task: &Task<'_>,
    source: impl Iterator<Item = Result<Observation, E>>,
    out: &mut (dyn FnMut(&Transition) -> ControlFlow<()> + Send),
) -> Result<Report, BacktestError> {
    let names: RuleNames<'_> = (task.rules.rules.iter())
        .map(|rule| (rule.info.id, &rule.info))
        .collect();
    let thresholds = task.labels.map(|_| Arc::new(plain::plain(&task.rules)));
    let mut teller = task
        .plans
        .map(|plans| Teller::new(plans, &names, task.registry, &task.timezone));
    let [mut book, mut against, mut plain] = [(); 3].map(|()| AlertBook::default());
    let mut seen = Seen::new(task.labels);
    let stopped = AtomicBool::new(false);
    let mut failed = None;

    let readings = source
        .map_while(|read| match read {
            Ok(observation) => (!stopped.load(Ordering::Relaxed)).then_some(observation),
            Err(error) => {
                failed = Some(error.to_string());
                None
            }
        })
        .inspect(|observation| seen.observe(observation));
    let take = |transition: &Transition| {
        if !stopped.load(Ordering::Relaxed) {
            book.take(transition);
            if let Some(teller) = &mut teller {
                teller.take(transition);
            }
            stopped.fetch_or(out(transition).is_break(), Ordering::Relaxed);
        }
    };
    let first = Lane {
        rules: Arc::clone(&task.rules),
        out: Box::new(take),
    };
    let others = [(&task.against, &mut against), (&thresholds, &mut plain)];
    let others = others.into_iter().filter_map(|(rules, book)| {
        Some(Lane {
            rules: Arc::clone(rules.as_ref()?),
            out: Box::new(|transition| book.take(transition)),
        })
    });
    let shared = Shared {
        registry: task.registry,
        workers: task.workers,
        epoch: task.epoch,
    };
    let summary = lanes::replay(readings, first, others.collect(), shared)?;
    if stopped.into_inner() {
        return Err(BacktestError::Stopped);
    }
    if let Some(reason) = failed {
        return Err(BacktestError::Source(reason));
    }
    let found = Found {
        book,
        against,
        plain,
        plain_thresholds: thresholds.map_or(0, |rules| rules.rules.len()),
        seen,
        names: &names,
    };
    Ok(Report {
        departments: teller.map(Teller::end),
        ..found.report(task, summary)
    })
}

/// What came of the pass over the readings.
struct Found<'a> {
    book: AlertBook,
    against: AlertBook,
    plain: AlertBook,
    plain_thresholds: usize,
    seen: Seen,
    names: &'a RuleNames<'a>,
}

impl Found<'_> {
    fn report(&self, task: &Task<'_>, summary: Summary) -> Report {
        let alerts = &self.book.alerts;
        let span = summary.first.zip(summary.last);
        let difference =
            (task.against.as_ref()).map(|_| difference::difference(&self.against.alerts, alerts));
        Report {
            data: DataRead {
                unseen: unseen::unseen(&task.rules, task.registry, &self.seen),
                ..data(summary, self.seen.spans().len())
            },
            transitions: self.book.transitions,
            alerts: self.book.count(),
            load: load::load(alerts, span, &task.timezone, task.positions),
            hazards: noise::hazards(alerts, self.names),
            noisy_sensors: noise::noisy_sensors(alerts, task.registry),
            noisy_rules: noise::noisy_rules(alerts, self.names),
            departments: None,
            difference,
            labels: task.labels.map(|labels| self.score(labels)),
        }
    }

    fn score(&self, labels: &Labels) -> score::Score {
        score::score(&Evidence {
            labels,
            alerts: &self.book.alerts,
            plain: &self.plain.alerts,
            plain_thresholds: self.plain_thresholds,
            rules: self.names,
            seen: &self.seen,
        })
    }
}

fn data(summary: Summary, sensors: usize) -> DataRead {
    let counts = summary.counts;
    let wrong_units = counts.unit_newest.into_iter().map(|error| WrongUnit {
        rule: error.rule,
        sensor: error.sensor,
        measurement: error.measurement,
        unit: error.unit,
        wanted: error.wanted,
        times: error.times,
    });
    let incomplete = counts.incomplete_newest.into_iter();
    let incomplete = incomplete.map(|incomplete| IncompleteSeries {
        series: incomplete.series,
        sensor: incomplete.sensor,
        measurement: incomplete.measurement,
        times: incomplete.times,
    });
    DataRead {
        first: summary.first,
        last: summary.last,
        observations: summary.observations,
        readings: summary.readings,
        sensors: sensors as u64,
        bad_rows: 0,
        late: counts.late,
        repeats: counts.repeats,
        conflicts: counts.conflicts,
        implausible: counts.implausible,
        unit_errors: counts.unit_errors,
        wrong_units: wrong_units.collect(),
        incomplete: counts.incomplete,
        incomplete_series: incomplete.collect(),
        unseen: Vec::new(),
    }
}
