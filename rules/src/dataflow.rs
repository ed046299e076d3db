//! The engine on several threads: one fixed timely dataflow, built once and never rebuilt. The only file that
//! names timely, whose interface changes with every release.
//!
//! ```text
//!            every worker                                              worker 0
//! records  --\
//!             rules: waits until the frontier has passed the epoch, --> gather: merges and orders
//! controls --/       merges both inputs by position, steps its core     what all workers found
//! ```
//!
//! An epoch is shared, not copied: every worker reads all of its records, because each of them moves the clock
//! and so decides at which position a moment fires, but follows only its own share of the sensors. Idle workers
//! sleep on their queues.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use citywatch_model::{Body, Position, Record, Time, Transition};
use serde::{Deserialize, Serialize};
use timely::communication::WorkerGuards;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Capability, Input, Operator, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::worker::Worker;

use crate::engine::Counts;
use crate::engine::core::{Control, Core, Share};
use crate::engine::counts::Tally;
use crate::problem::Problems;

/// Epochs that wait for a busy worker before `submit` blocks.
const QUEUE: usize = 4;
/// Epochs that a worker lets into the dataflow before the first of them is done.
const AHEAD: u64 = 4;
/// How long a worker that waits for others sleeps before it looks whether one of them has failed.
const PATIENCE: Duration = Duration::from_millis(500);

/// What came of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// The last record read.
    pub position: Position,
    /// Its clock; of the last epoch of a backtest, the end of the clock.
    pub clock: Time,
    /// By time, position, rule and subject.
    pub transitions: Vec<Transition>,
    /// Counts since the epoch before; the newest unit mistakes are named.
    pub counts: Counts,
}

/// Called on the engine's own thread. While it runs, the engine stands still.
pub type OnEpoch = Box<dyn FnMut(Epoch) + Send>;

/// Why the engine refuses.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody would do the work.
    #[error("0 workers cannot run rules: give at least 1")]
    NoWorkers,
    /// The operating system gave no thread.
    #[error("the engine could not start {workers} workers: {reason}; give fewer workers")]
    Start {
        /// How many were asked for.
        workers: usize,
        /// What timely says.
        reason: String,
    },
    /// A rule set in the records does not compile. Nothing of the epoch has been read.
    #[error("the rules of record {position} are not valid:\n{problems}")]
    Rules {
        /// The record.
        position: Position,
        /// Every mistake.
        problems: Problems,
    },
    /// A worker is gone.
    #[error("the engine has stopped because a worker or its receiver panicked: start it again from the journal")]
    Stopped,
}

/// The running engine. Dropping it finishes what was submitted.
pub struct Engine {
    queues: Mutex<Vec<SyncSender<Batch>>>,
    guards: Option<WorkerGuards<()>>,
}

/// One epoch on its way in.
#[derive(Clone)]
struct Batch {
    records: Arc<[Record]>,
    controls: Arc<[(Position, Control)]>,
    end: Option<Time>,
}

/// What one worker found in one epoch.
#[derive(Clone, Serialize, Deserialize)]
struct Part {
    position: Position,
    clock: Time,
    transitions: Vec<Transition>,
    counts: Counts,
}

impl Engine {
    /// Starts `workers` threads that know no rules and no sensors. `on_epoch` is called in order, once for each
    /// epoch submitted.
    ///
    /// # Errors
    /// If there are no workers or no threads for them.
    pub fn start(workers: usize, on_epoch: OnEpoch) -> Result<Engine, EngineError> {
        let communication = match workers {
            0 => return Err(EngineError::NoWorkers),
            1 => timely::CommunicationConfig::Thread,
            _ => timely::CommunicationConfig::Process(workers),
        };
        let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
        let (queues, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| sync_channel(QUEUE)).unzip();
        let receivers = Mutex::new(receivers.into_iter().map(Some).collect::<Vec<_>>());
        let on_epoch = Mutex::new(Some(on_epoch));
        let failed = Arc::new(AtomicBool::new(false));
        let guards = timely::execute(config, move |worker| {
            let receiver = receivers.lock().unwrap_or_else(PoisonError::into_inner)[worker.index()].take();
            let on_epoch = (worker.index() == 0).then(|| on_epoch.lock().unwrap_or_else(PoisonError::into_inner).take());
            let mark = FailureMark(Arc::clone(&failed));
            if let Some(queue) = receiver {
                work(worker, &queue, on_epoch.flatten(), &mark);
            }
        });
        let guards = guards.map_err(|reason| EngineError::Start { workers, reason })?;
        Ok(Engine { queues: Mutex::new(queues), guards: Some(guards) })
    }

    /// Hands over the next records, in the order of their positions. Blocks while the engine is behind.
    ///
    /// # Errors
    /// If a rule set among them does not compile, or the engine has stopped.
    pub fn submit(&self, records: Arc<[Record]>) -> Result<(), EngineError> {
        let mut controls = Vec::new();
        for record in records.iter() {
            match &record.body {
                Body::Rules(sources) => {
                    let position = record.position;
                    let rules = crate::compile(sources).map_err(|problems| EngineError::Rules { position, problems })?;
                    controls.push((position, Control::Rules(Arc::new(rules))));
                }
                Body::Registry(change) => controls.push((record.position, Control::Registry(Arc::clone(change)))),
                Body::Observation(_) | Body::Tick | Body::Start | Body::Link { .. } => {}
            }
        }
        self.submit_with(records, controls)
    }

    /// The same with ready controls; one whose position lies before the first record comes before it.
    pub(crate) fn submit_with(&self, records: Arc<[Record]>, controls: Vec<(Position, Control)>) -> Result<(), EngineError> {
        self.send(&Batch { records, controls: controls.into(), end: None })
    }

    /// Finishes everything that was submitted. `end` is where a backtest's clock ends: moments up to and
    /// including it fire and are reported as one more epoch.
    ///
    /// # Errors
    /// If the engine has stopped before its time.
    pub fn close(mut self, end: Option<Time>) -> Result<(), EngineError> {
        if end.is_some() {
            self.send(&Batch { records: Arc::new([]), controls: Arc::new([]), end })?;
        }
        self.join()
    }

    fn send(&self, batch: &Batch) -> Result<(), EngineError> {
        // all queues under one lock, so that every worker sees the same order
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().try_for_each(|queue| queue.send(batch.clone())).map_err(|_| EngineError::Stopped)
    }

    fn join(&mut self) -> Result<(), EngineError> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let results = self.guards.take().map(WorkerGuards::join).unwrap_or_default();
        if results.iter().all(Result::is_ok) { Ok(()) } else { Err(EngineError::Stopped) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // whoever cares calls `close`; the panic itself has been printed by its thread
        self.join().ok();
    }
}

/// Tells the other workers that this one panicked; they would wait for it for ever.
struct FailureMark(Arc<AtomicBool>);

impl FailureMark {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for FailureMark {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// A worker's life: feed the dataflow, step it, sleep when nothing is under way.
fn work(worker: &mut Worker, queue: &Receiver<Batch>, on_epoch: Option<OnEpoch>, failure: &FailureMark) {
    let (mut inputs, probe) = build(worker, on_epoch);
    let mut open = true;
    while worker.has_dataflows() {
        let next = *inputs.as_ref().map_or(&0, |inputs| inputs.records.time());
        let done = probe.with_frontier(|frontier| frontier.first().copied().unwrap_or(next));
        let batch = match queue_state(open, done, next) {
            Feed::Wait => queue.recv().map_err(|_| TryRecvError::Disconnected),
            Feed::Look => queue.try_recv(),
            Feed::Not => Err(TryRecvError::Empty),
        };
        match (batch, &mut inputs) {
            (Ok(batch), Some(inputs)) => inputs.feed(batch),
            (Err(TryRecvError::Disconnected), _) => {
                open = false;
                inputs = None;
            }
            _ => {}
        }
        if failure.is_set() {
            worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
            return;
        }
        worker.step_or_park(Some(PATIENCE));
    }
}

enum Feed {
    /// Nothing is under way: sleep until something comes.
    Wait,
    Look,
    Not,
}

fn queue_state(open: bool, done: u64, next: u64) -> Feed {
    match next - done.min(next) {
        _ if !open => Feed::Not,
        0 => Feed::Wait,
        under_way if under_way < AHEAD => Feed::Look,
        _ => Feed::Not,
    }
}

struct Inputs {
    records: InputHandle<u64, CapacityContainerBuilder<Vec<(Arc<[Record]>, Option<Time>)>>>,
    controls: InputHandle<u64, CapacityContainerBuilder<Vec<Arc<[(Position, Control)]>>>>,
}

impl Inputs {
    fn feed(&mut self, batch: Batch) {
        let next = *self.records.time() + 1;
        self.records.send((batch.records, batch.end));
        self.controls.send(batch.controls);
        self.records.advance_to(next);
        self.controls.advance_to(next);
    }
}

fn build(worker: &mut Worker, on_epoch: Option<OnEpoch>) -> (Option<Inputs>, ProbeHandle<u64>) {
    let share = Share { index: worker.index() as u64, of: worker.peers() as u64 };
    worker.dataflow::<u64, _, _>(|scope| {
        let (records_input, records) = scope.new_input();
        let (controls_input, controls) = scope.new_input();
        let parts: StreamVec<'_, u64, Part> =
            records.binary_frontier(controls, Pipeline, Pipeline, "rules", |_, _| {
                let mut core = Core::new(share);
                let mut waiting: BTreeMap<u64, Waiting> = BTreeMap::new();
                move |(records, records_frontier), (controls, controls_frontier), output| {
                    records.for_each_stamp(|time, data| {
                        let Some(capability) = time.retain_least(output.output_index()) else { return };
                        let waiting = waiting.entry(*capability.time()).or_insert_with(|| Waiting::new(capability));
                        waiting.records.extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                    });
                    controls.for_each_stamp(|time, data| {
                        let Some(capability) = time.retain_least(output.output_index()) else { return };
                        let waiting = waiting.entry(*capability.time()).or_insert_with(|| Waiting::new(capability));
                        waiting.controls.extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                    });
                    while let Some(ready) = passed(&mut waiting, &[records_frontier, controls_frontier]) {
                        output.session(&ready.capability).give(ready.run(&mut core));
                    }
                }
            });
        let probe = gather(parts, on_epoch);
        (Some(Inputs { records: records_input, controls: controls_input }), probe)
    })
}

/// The earliest entry whose epoch is complete on every input.
fn passed<T>(waiting: &mut BTreeMap<u64, T>, frontiers: &[&MutableAntichain<u64>]) -> Option<T> {
    let first = waiting.first_entry()?;
    let complete = frontiers.iter().all(|frontier| !frontier.less_equal(first.key()));
    complete.then(|| first.remove())
}

/// An epoch that is not known to be complete yet.
struct Waiting {
    capability: Capability<u64>,
    records: Vec<(Arc<[Record]>, Option<Time>)>,
    controls: Vec<Arc<[(Position, Control)]>>,
}

impl Waiting {
    fn new(capability: Capability<u64>) -> Waiting {
        Waiting { capability, records: Vec::new(), controls: Vec::new() }
    }

    /// Merges both inputs by position: a control follows the record that carries its position.
    fn run(&self, core: &mut Core) -> Part {
        let mut transitions = Vec::new();
        let mut controls = self.controls.iter().flat_map(|list| list.iter()).peekable();
        for (records, end) in &self.records {
            for record in records.iter() {
                while let Some((_, control)) = controls.next_if(|(position, _)| *position < record.position) {
                    core.control(control, &mut transitions);
                }
                core.step(record, &mut transitions);
                while let Some((_, control)) = controls.next_if(|(position, _)| *position == record.position) {
                    core.control(control, &mut transitions);
                }
            }
            if let Some(end) = end {
                core.finish(*end, &mut transitions);
            }
        }
        let (position, clock) = core.reached();
        Part { position, clock, transitions, counts: core.take_counts() }
    }
}

/// Brings the parts of an epoch together on worker 0 and reports it.
fn gather(parts: StreamVec<'_, u64, Part>, on_epoch: Option<OnEpoch>) -> ProbeHandle<u64> {
    let mut on_epoch = on_epoch;
    let done = parts.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
        Exchange::new(|_: &Part| 0),
        "gather",
        |_, _| {
            let mut waiting: BTreeMap<u64, (Capability<u64>, Vec<Part>)> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each_stamp(|time, data| {
                    let Some(capability) = time.retain_least(output.output_index()) else { return };
                    let held = waiting.entry(*capability.time()).or_insert_with(|| (capability, Vec::new()));
                    held.1.extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                });
                while let Some((_capability, parts)) = passed(&mut waiting, &[frontier]) {
                    if let Some(on_epoch) = &mut on_epoch {
                        on_epoch(merged(parts));
                    }
                }
            }
        },
    );
    done.probe().0
}

fn merged(parts: Vec<Part>) -> Epoch {
    let mut epoch = Epoch { position: 0, clock: Time::MIN, transitions: Vec::new(), counts: Counts::default() };
    let mut tally = Tally::default();
    for mut part in parts {
        epoch.position = epoch.position.max(part.position);
        epoch.clock = epoch.clock.max(part.clock);
        epoch.transitions.append(&mut part.transitions);
        tally.add(part.counts);
    }
    // stable: what one rule does at one subject comes from one worker, in order already
    epoch.transitions.sort_by(|a, b| (a.time, a.position, a.rule, a.subject).cmp(&(b.time, b.position, b.rule, b.subject)));
    epoch.counts = tally.newest();
    epoch
}
