//! Backtests on the own history while the service runs: one at a time, behind everything else that wants the
//! processor. The newest are kept in memory; a restart forgets them.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use citywatch_alerting::{Directory, Zones};
use citywatch_ingest::History;
use citywatch_model::{Registry, Time, Transition};
use citywatch_rules::ast::RuleSet;
use jiff::tz::TimeZone;

use crate::backtest::report::TransitionLine;
use crate::backtest::stretch::{STEPS, Stretch};
use crate::backtest::{self, BacktestError, Labels, Plans, Report, Task};

/// Backtests that are kept.
const KEPT: usize = 20;
/// Transitions that are kept of each.
pub const TRANSITIONS: usize = 10_000;
/// Observations between two looks at whether it shall go on.
const LOOK_EVERY: u64 = 1_024;
/// Readings an epoch.
const EPOCH: usize = 10_000;
/// How far behind the rest of the service it runs.
const NICE: i32 = 10;

/// What a backtest runs with.
pub struct Wanted {
    /// Rules under test.
    pub rules: Arc<RuleSet>,
    /// Rules to compare with.
    pub against: Option<Arc<RuleSet>>,
    /// Labelled events.
    pub labels: Option<Labels>,
    /// Sensors and zones from the beginning.
    pub registry: Arc<Registry>,
    /// Departments and plans, and zones for them.
    pub plans: (Arc<Directory>, Zones),
    /// First event time.
    pub from: Time,
    /// Not included.
    pub to: Time,
    /// Operator positions, at least 1.
    pub positions: u16,
    /// Whose days are counted.
    pub timezone: TimeZone,
}

/// Who asks for a backtest.
pub struct Asked {
    pub by: String,
    /// On the wall clock.
    pub at: Time,
    /// The idempotency key, if there is one, and what is asked under it.
    pub key: Option<(String, String)>,
}

/// A backtest that was asked for.
pub struct Backtest {
    /// Unique until the service ends.
    pub id: u64,
    /// Who asked.
    pub by: String,
    /// When, on the wall clock.
    pub asked: Time,
    /// The idempotency key, if there was one, and what was asked under it.
    key: Option<(String, String)>,
    steps: AtomicU64,
    stop: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
}

/// How a backtest ended.
#[derive(Clone)]
pub enum Outcome {
    /// With a report.
    Finished(Arc<Done>),
    /// Because somebody stopped it.
    Stopped,
    /// For this reason.
    Failed(String),
}

/// What came out.
pub struct Done {
    /// The report.
    pub report: Report,
    /// The first transitions, in order.
    pub transitions: Vec<TransitionLine>,
}

/// All backtests; clones share them.
#[derive(Clone, Default)]
pub struct Backtests(Arc<Mutex<VecDeque<Arc<Backtest>>>>);

impl Backtests {
    /// The kept one that `asked` has begun before under the same idempotency key; `Err` if the key stands for another.
    ///
    /// # Errors
    /// If something else was asked under the key.
    pub fn begun_before(&self, asked: &Asked) -> Result<Option<Arc<Backtest>>, Arc<Backtest>> {
        let all = self.lock();
        let Some((key, call)) = &asked.key else {
            return Ok(None);
        };
        let same = |backtest: &&Arc<Backtest>| {
            let known = backtest.key.as_ref();
            backtest.by == asked.by && known.is_some_and(|(known, _)| known == key)
        };
        match all.iter().rev().find(same) {
            Some(found) if found.key.as_ref().is_some_and(|(_, known)| known != call) => {
                Err(Arc::clone(found))
            }
            found => Ok(found.cloned()),
        }
    }

    /// Begins a backtest; `Err` is the one that runs already.
    ///
    /// # Errors
    /// If another one runs.
    pub fn begin(
        &self,
        history: History,
        wanted: Wanted,
        asked: Asked,
    ) -> Result<Arc<Backtest>, Arc<Backtest>> {
        let mut all = self.lock();
        let running = all.iter().find(|backtest| backtest.outcome().is_none());
        if let Some(running) = running {
            return Err(Arc::clone(running));
        }
        let backtest = Arc::new(Backtest {
            id: all.back().map_or(0, |newest| newest.id) + 1,
            by: asked.by,
            asked: asked.at,
            key: asked.key,
            steps: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            outcome: Mutex::new(None),
        });
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(Arc::clone(&backtest));
        let begun = Arc::clone(&backtest);
        let spawned = std::thread::Builder::new()
            .name("backtest".to_owned())
            .spawn(move || begun.run(&history, &wanted));
        if let Err(error) = spawned {
            backtest.end(Outcome::Failed(format!("cannot start a thread: {error}")));
        }
        Ok(backtest)
    }

    /// The newest first.
    pub fn list(&self) -> Vec<Arc<Backtest>> {
        self.lock().iter().rev().cloned().collect()
    }

    /// The one with this id, if it is kept.
    pub fn get(&self, id: u64) -> Option<Arc<Backtest>> {
        let all = self.lock();
        all.iter().find(|backtest| backtest.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Backtest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backtest {
    /// How far it is, from 0 to 1.
    pub fn progress(&self) -> f64 {
        match self.outcome() {
            Some(Outcome::Finished(_)) => 1.0,
            Some(_) | None => self.steps.load(Ordering::Relaxed) as f64 / STEPS as f64,
        }
    }

    /// `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        self.ended().clone()
    }

    /// Ends it soon, if it still runs.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn run(&self, history: &History, wanted: &Wanted) {
        // threads that it starts are as patient as it is
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "a backtest runs at the service's own priority");
        }
        // one that vanished without an end would keep all others from beginning
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome_of(history, wanted)));
        self.end(
            outcome.unwrap_or_else(|_| Outcome::Failed("it panicked; see the log".to_owned())),
        );
    }

    fn outcome_of(&self, history: &History, wanted: &Wanted) -> Outcome {
        let stretch = match Stretch::open(history, wanted.from, wanted.to) {
            Ok(stretch) => stretch,
            Err(error) => return Outcome::Failed(error),
        };
        let (directory, zones) = &wanted.plans;
        let task = Task {
            rules: Arc::clone(&wanted.rules),
            registry: &wanted.registry,
            against: wanted.against.clone(),
            labels: wanted.labels.as_ref(),
            plans: Some(Plans { directory, zones }),
            timezone: wanted.timezone.clone(),
            positions: wanted.positions,
            workers: 1,
            epoch: EPOCH,
        };
        let mut transitions = Vec::new();
        let mut keep = |transition: &Transition| {
            if transitions.len() < TRANSITIONS {
                transitions.push(transition.into());
            }
            ControlFlow::Continue(())
        };
        let report = backtest::run(&task, self.followed(stretch), &mut keep);
        match report {
            // what was read until then would look like all of it
            _ if self.stop.load(Ordering::Relaxed) => Outcome::Stopped,
            Ok(report) => Outcome::Finished(Arc::new(Done {
                report,
                transitions,
            })),
            Err(BacktestError::Stopped) => Outcome::Stopped,
            Err(error @ (BacktestError::Engine(_) | BacktestError::Source(_))) => {
                Outcome::Failed(error.to_string())
            }
        }
    }

    /// The observations of `stretch` until somebody stops it.
    fn followed(
        &self,
        mut stretch: Stretch,
    ) -> impl Iterator<Item = Result<citywatch_model::Observation, String>> {
        let mut read = 0_u64;
        std::iter::from_fn(move || {
            let next = stretch.next()?;
            if read.is_multiple_of(LOOK_EVERY) {
                if self.stop.load(Ordering::Relaxed) {
                    return None;
                }
                if let Ok(observation) = &next {
                    let steps = stretch.steps(observation.time);
                    self.steps.store(steps, Ordering::Relaxed);
                }
            }
            read += 1;
            Some(next)
        })
    }

    fn end(&self, outcome: Outcome) {
        *self.ended() = Some(outcome);
    }

    fn ended(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
