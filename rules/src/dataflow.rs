//! The engine on several threads: one fixed timely dataflow, built once and never rebuilt. The only file that
//! names timely, whose interface changes with every release.
//!
//! ```text
//!            every worker                                                  worker 0
//! records  --\
//!             join: waits until the frontier --> rules: steps its core --> gather: merges and orders what all
//! controls --/      has passed the epoch                  \--------------> workers found, second stage
//! ```
//!
//! An epoch is shared, not copied: every worker reads all of its records, because each of them moves the clock
//! and so decides at which position a moment fires, but follows only its own share of the sensors. Idle workers
//! sleep on their queues.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use timely::communication::WorkerGuards;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Capability, Input, Operator, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::worker::Worker;

use crate::engine::core::Core;
use crate::engine::second::Second;
use crate::engine::snapshot::Resumed;
use crate::epoch::{Batch, Controls, Epoch, OnEpoch, Part, Records, Work};

/// Epochs that a worker lets into the dataflow before the first of them is done.
const AHEAD: u64 = 4;
/// How long a worker that waits for others sleeps before it looks whether one of them has failed.
const PATIENCE: Duration = Duration::from_millis(500);

/// The worker threads. They end once their queues are closed and everything in them is done.
pub(crate) struct Workers(WorkerGuards<()>);

impl Workers {
    /// Waits for the end; whether nobody panicked.
    pub(crate) fn join(self) -> bool {
        self.0.join().iter().all(Result::is_ok)
    }
}

/// Starts a worker for each of `queues`, with its core from `state`. `on_epoch` runs on the first one.
///
/// # Errors
/// What timely says if it cannot start the threads.
pub(crate) fn start(
    queues: Vec<Receiver<Batch>>,
    state: Resumed,
    on_epoch: OnEpoch,
) -> Result<Workers, String> {
    let communication = match queues.len() {
        1 => timely::CommunicationConfig::Thread,
        workers => timely::CommunicationConfig::Process(workers),
    };
    let config = timely::Config {
        communication,
        worker: timely::WorkerConfig::default(),
    };
    let mut report = Some(Report {
        second: state.second,
        on_epoch,
    });
    let seats = queues.into_iter().zip(state.cores);
    let seats = seats.map(|(queue, core)| {
        // only the first worker has somebody to tell
        let report = report.take();
        Some(Seat {
            queue,
            core,
            report,
        })
    });
    let seats = Mutex::new(seats.collect::<Vec<_>>());
    let failed = Arc::new(AtomicBool::new(false));
    let guards = timely::execute(config, move |worker| {
        let seat = seats.lock().unwrap_or_else(PoisonError::into_inner)[worker.index()].take();
        let mark = FailureMark(Arc::clone(&failed));
        if let Some(seat) = seat {
            work(worker, seat, &mark);
        }
    })?;
    Ok(Workers(guards))
}

/// What a worker begins with.
struct Seat {
    queue: Receiver<Batch>,
    core: Core,
    report: Option<Report>,
}

/// Where epochs are completed and told.
struct Report {
    second: Second,
    on_epoch: OnEpoch,
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
fn work(worker: &mut Worker, seat: Seat, failure: &FailureMark) {
    let Seat {
        queue,
        core,
        report,
    } = seat;
    let (mut inputs, probe) = build(worker, core, report);
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
            worker
                .installed_dataflows()
                .into_iter()
                .for_each(|dataflow| worker.drop_dataflow(dataflow));
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

type Handle<T> = InputHandle<u64, CapacityContainerBuilder<Vec<T>>>;

struct Inputs {
    /// With each, whether the state after it is asked for.
    records: Handle<(Records, bool)>,
    controls: Handle<Controls>,
}

impl Inputs {
    fn feed(&mut self, batch: Batch) {
        let next = *self.records.time() + 1;
        self.records.send((batch.records, batch.snapshot));
        self.controls.send(batch.controls);
        self.records.advance_to(next);
        self.controls.advance_to(next);
    }
}

fn build(
    worker: &mut Worker,
    mut core: Core,
    report: Option<Report>,
) -> (Option<Inputs>, ProbeHandle<u64>) {
    worker.dataflow::<u64, _, _>(|scope| {
        let (records_input, records) = scope.new_input();
        let (controls_input, controls) = scope.new_input();
        let work = join(records, controls);
        let parts = work
            .clone()
            .unary::<CapacityContainerBuilder<Vec<Part>>, _, _, _>(Pipeline, "rules", |_, _| {
                move |input, output| {
                    input.for_each_stamp(|time, data| {
                        let Some(capability) = time.retain_least(output.output_index()) else {
                            return;
                        };
                        let mut session = output.session(&capability);
                        for work in data.flat_map(|items: &mut Vec<Work>| items.drain(..)) {
                            session.give(Part::of(&mut core, &work));
                        }
                    });
                }
            });
        let probe = gather(parts, work, report);
        (
            Some(Inputs {
                records: records_input,
                controls: controls_input,
            }),
            probe,
        )
    })
}

/// Puts the controls of an epoch beside its records once both are complete.
fn join<'scope>(
    records: StreamVec<'scope, u64, (Records, bool)>,
    controls: StreamVec<'scope, u64, Controls>,
) -> StreamVec<'scope, u64, Work> {
    records.binary_frontier(controls, Pipeline, Pipeline, "join", |_, _| {
        let mut waiting: BTreeMap<u64, (Capability<u64>, Work)> = BTreeMap::new();
        move |(records, records_frontier), (controls, controls_frontier), output| {
            records.for_each_stamp(|time, data| {
                let Some(capability) = time.retain_least(output.output_index()) else {
                    return;
                };
                let (_, work) = waiting
                    .entry(*capability.time())
                    .or_insert_with(|| (capability, Work::default()));
                for (records, snapshot) in data.flat_map(|items: &mut Vec<_>| items.drain(..)) {
                    work.records.push(records);
                    work.snapshot |= snapshot;
                }
            });
            controls.for_each_stamp(|time, data| {
                let Some(capability) = time.retain_least(output.output_index()) else {
                    return;
                };
                let (_, work) = waiting
                    .entry(*capability.time())
                    .or_insert_with(|| (capability, Work::default()));
                work.controls
                    .extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
            });
            while let Some((capability, work)) =
                passed(&mut waiting, &[records_frontier, controls_frontier])
            {
                output.session(&capability).give(work);
            }
        }
    })
}

/// The earliest entry whose epoch is complete on every input.
fn passed<T>(waiting: &mut BTreeMap<u64, T>, frontiers: &[&MutableAntichain<u64>]) -> Option<T> {
    let first = waiting.first_entry()?;
    let complete = frontiers
        .iter()
        .all(|frontier| !frontier.less_equal(first.key()));
    complete.then(|| first.remove())
}

/// An epoch as worker 0 knows it, not done before it is reported.
struct Gathered {
    _capability: Capability<u64>,
    parts: Vec<Part>,
    work: Work,
}

impl Gathered {
    fn new(capability: Capability<u64>) -> Gathered {
        Gathered {
            _capability: capability,
            parts: Vec::new(),
            work: Work::default(),
        }
    }
}

/// Brings the parts of an epoch together on worker 0, takes the second stage through it, and reports it.
fn gather<'scope>(
    parts: StreamVec<'scope, u64, Part>,
    work: StreamVec<'scope, u64, Work>,
    mut report: Option<Report>,
) -> ProbeHandle<u64> {
    let done = parts.binary_frontier::<_, CapacityContainerBuilder<Vec<()>>, _, _, _, _>(
        work,
        Exchange::new(|_: &Part| 0),
        Pipeline,
        "gather",
        |_, _| {
            let mut waiting: BTreeMap<u64, Gathered> = BTreeMap::new();
            move |(parts, parts_frontier), (work, work_frontier), output| {
                parts.for_each_stamp(|time, data| {
                    let Some(capability) = time.retain_least(output.output_index()) else {
                        return;
                    };
                    let held = waiting
                        .entry(*capability.time())
                        .or_insert_with(|| Gathered::new(capability));
                    held.parts
                        .extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                });
                work.for_each_stamp(|time, data| {
                    let Some(capability) = time.retain_least(output.output_index()) else {
                        return;
                    };
                    let held = waiting
                        .entry(*capability.time())
                        .or_insert_with(|| Gathered::new(capability));
                    // the first operator gives one for each epoch
                    if let Some(work) = data
                        .flat_map(|items: &mut Vec<Work>| items.drain(..))
                        .next()
                    {
                        held.work = work;
                    }
                });
                while let Some(ready) = passed(&mut waiting, &[parts_frontier, work_frontier]) {
                    if let Some(Report { second, on_epoch }) = &mut report {
                        on_epoch(Epoch::merged(ready.parts, &ready.work, second));
                    }
                }
            }
        },
    );
    done.probe().0
}
