//! Recorded observations through the engine, with a clock made of their event times. The same engine as live;
//! only where records come from differs.

use std::sync::Arc;
use std::sync::mpsc;

use citywatch_model::{
    Body, Duration, Observation, Record, Registry, Time, Transition, TransitionKind,
};

use crate::ast::RuleSet;
use crate::engine::Counts;
use crate::engine::core::Control;
use crate::engine::counts::{NAMED_IN_SUMMARY, Tally};
use crate::epoch::{Epoch, Shared};
use crate::parallel::{Engine, EngineError};

/// What a backtest runs with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The rules in force from the beginning.
    pub rules: Arc<RuleSet>,
    /// The sensors known from the beginning; others register with their first observation.
    pub registry: Registry,
    /// Number of threads.
    pub workers: usize,
    /// Readings an epoch; an observation is never cut.
    pub epoch: usize,
}

/// What a backtest saw and found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Observations read.
    pub observations: u64,
    /// Readings in them.
    pub readings: u64,
    /// Earliest event time.
    pub first: Option<Time>,
    /// Newest event time, where the clock ended.
    pub last: Option<Time>,
    /// Alerts raised.
    pub raised: u64,
    /// Changes of level.
    pub changed: u64,
    /// Alerts that ended.
    pub cleared: u64,
    /// Late, repeated, conflicting and implausible readings, and the newest unit mistakes.
    pub counts: Counts,
}

impl Summary {
    /// Time from the earliest to the newest event.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.first
            .zip(self.last)
            .map_or(Duration::ZERO, |(first, last)| last.since(first))
    }
}

/// Replays `source`, in time order but for late rows, and hands each transition to `out`, in order. The clock is
/// the newest event time so far; it ends at the newest of all.
///
/// # Errors
/// If the engine cannot start or stops.
pub fn backtest(
    source: impl Iterator<Item = Observation>,
    setup: Setup,
    mut out: impl FnMut(&Transition),
) -> Result<Summary, EngineError> {
    let (sender, epochs) = mpsc::channel();
    let on_epoch = move |epoch| {
        // refused only once the backtest has been given up, and then nobody wants it
        sender.send(epoch).ok();
    };
    let engine = Engine::start(setup.workers, Box::new(on_epoch))?;
    let mut replay = Replay::new(setup);
    let mut findings = Findings::default();
    for observation in source {
        replay.read(observation);
        if replay.is_full() {
            replay.submit(&engine)?;
            epochs
                .try_iter()
                .for_each(|epoch| findings.take(epoch, &mut out));
        }
    }
    replay.submit(&engine)?;
    engine.close(replay.summary.last)?;
    epochs
        .iter()
        .for_each(|epoch| findings.take(epoch, &mut out));
    Ok(findings.into_summary(&replay.summary))
}

/// Turns observations into records.
struct Replay {
    setup: Setup,
    summary: Summary,
    clock: Time,
    position: u64,
    records: Vec<Record>,
    /// Readings among `records`.
    gathered: usize,
    controls: Vec<(u64, Control)>,
}

impl Replay {
    fn new(setup: Setup) -> Replay {
        let controls = vec![(0, Control::Rules(Arc::clone(&setup.rules), None))];
        Replay {
            setup,
            summary: Summary::default(),
            clock: Time::MIN,
            position: 0,
            records: Vec::new(),
            gathered: 0,
            controls,
        }
    }

    #[inline]
    fn read(&mut self, mut observation: Observation) {
        self.clock = self.clock.max(observation.time);
        observation.arrival = self.clock;
        if self.position == 0 {
            let change = Registry::default()
                .change_to(&self.setup.registry)
                .unwrap_or_default();
            let change = Arc::new(change);
            self.controls
                .push((1, Control::Registry(Arc::clone(&change))));
            self.append(Body::Registry(change));
            self.append(Body::Start);
        }
        let summary = &mut self.summary;
        summary.observations += 1;
        summary.readings += observation.values.len() as u64;
        summary.first = Some(
            summary
                .first
                .map_or(observation.time, |first| first.min(observation.time)),
        );
        summary.last = Some(self.clock);
        self.gathered += observation.values.len();
        self.append(Body::Observation(observation));
    }

    #[inline]
    fn append(&mut self, body: Body) {
        self.position += 1;
        self.records.push(Record {
            position: self.position,
            clock: self.clock,
            body,
        });
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.gathered >= self.setup.epoch.max(1)
    }

    fn submit(&mut self, engine: &Engine) -> Result<(), EngineError> {
        self.gathered = 0;
        // the next epoch is about as long
        let next = Vec::with_capacity(self.records.len());
        let records = std::mem::replace(&mut self.records, next);
        if records.is_empty() {
            return Ok(());
        }
        let records = Shared::List(Arc::new(records));
        engine.submit_with(records, std::mem::take(&mut self.controls))
    }
}

/// What has come back so far.
#[derive(Default)]
struct Findings {
    kinds: [u64; 3],
    tally: Tally,
}

impl Findings {
    fn take(&mut self, epoch: Epoch, out: &mut impl FnMut(&Transition)) {
        for transition in &epoch.transitions {
            self.kinds[transition.kind as usize] += 1;
            out(transition);
        }
        self.tally.add(epoch.counts);
    }

    fn into_summary(self, read: &Summary) -> Summary {
        let kind = |kind: TransitionKind| self.kinds[kind as usize];
        Summary {
            raised: kind(TransitionKind::Raise),
            changed: kind(TransitionKind::Change),
            cleared: kind(TransitionKind::Clear),
            counts: self.tally.newest(NAMED_IN_SUMMARY),
            ..read.clone()
        }
    }
}
