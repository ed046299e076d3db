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

use crate::engine::core::{Core, Share};
use crate::epoch::{Batch, Controls, Epoch, OnEpoch, Part, Records};

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

/// Starts a worker for each of `queues`. `on_epoch` runs on the first one.
///
/// # Errors
/// What timely says if it cannot start the threads.
pub(crate) fn start(queues: Vec<Receiver<Batch>>, on_epoch: OnEpoch) -> Result<Workers, String> {
    let communication = match queues.len() {
        1 => timely::CommunicationConfig::Thread,
        workers => timely::CommunicationConfig::Process(workers),
    };
    let config = timely::Config {
        communication,
        worker: timely::WorkerConfig::default(),
    };
    let queues = Mutex::new(queues.into_iter().map(Some).collect::<Vec<_>>());
    let on_epoch = Mutex::new(Some(on_epoch));
    let failed = Arc::new(AtomicBool::new(false));
    let guards = timely::execute(config, move |worker| {
        let queue = queues.lock().unwrap_or_else(PoisonError::into_inner)[worker.index()].take();
        let first = worker.index() == 0;
        let on_epoch = first
            .then(|| {
                on_epoch
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
            })
            .flatten();
        let mark = FailureMark(Arc::clone(&failed));
        if let Some(queue) = queue {
            work(worker, &queue, on_epoch, &mark);
        }
    })?;
    Ok(Workers(guards))
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
fn work(
    worker: &mut Worker,
    queue: &Receiver<Batch>,
    on_epoch: Option<OnEpoch>,
    failure: &FailureMark,
) {
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
    records: Handle<Records>,
    controls: Handle<Controls>,
}

impl Inputs {
    fn feed(&mut self, batch: Batch) {
        let next = *self.records.time() + 1;
        self.records.send(batch.records);
        self.controls.send(batch.controls);
        self.records.advance_to(next);
        self.controls.advance_to(next);
    }
}

fn build(worker: &mut Worker, on_epoch: Option<OnEpoch>) -> (Option<Inputs>, ProbeHandle<u64>) {
    let share = Share {
        index: worker.index() as u64,
        of: worker.peers() as u64,
    };
    worker.dataflow::<u64, _, _>(|scope| {
        let (records_input, records) = scope.new_input();
        let (controls_input, controls) = scope.new_input();
        let parts: StreamVec<'_, u64, Part> =
            records.binary_frontier(controls, Pipeline, Pipeline, "rules", |_, _| {
                let mut core = Core::new(share);
                let mut waiting: BTreeMap<u64, Waiting> = BTreeMap::new();
                move |(records, records_frontier), (controls, controls_frontier), output| {
                    records.for_each_stamp(|time, data| {
                        let Some(capability) = time.retain_least(output.output_index()) else {
                            return;
                        };
                        let waiting = waiting
                            .entry(*capability.time())
                            .or_insert_with(|| Waiting::new(capability));
                        waiting
                            .records
                            .extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                    });
                    controls.for_each_stamp(|time, data| {
                        let Some(capability) = time.retain_least(output.output_index()) else {
                            return;
                        };
                        let waiting = waiting
                            .entry(*capability.time())
                            .or_insert_with(|| Waiting::new(capability));
                        waiting
                            .controls
                            .extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                    });
                    while let Some(ready) =
                        passed(&mut waiting, &[records_frontier, controls_frontier])
                    {
                        output.session(&ready.capability).give(Part::of(
                            &mut core,
                            &ready.records,
                            &ready.controls,
                        ));
                    }
                }
            });
        let probe = gather(parts, on_epoch);
        (
            Some(Inputs {
                records: records_input,
                controls: controls_input,
            }),
            probe,
        )
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

/// An epoch that is not known to be complete yet.
struct Waiting {
    capability: Capability<u64>,
    records: Vec<Records>,
    controls: Vec<Controls>,
}

impl Waiting {
    fn new(capability: Capability<u64>) -> Waiting {
        Waiting {
            capability,
            records: Vec::new(),
            controls: Vec::new(),
        }
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
                    let Some(capability) = time.retain_least(output.output_index()) else {
                        return;
                    };
                    let held = waiting
                        .entry(*capability.time())
                        .or_insert_with(|| (capability, Vec::new()));
                    held.1
                        .extend(data.flat_map(|items: &mut Vec<_>| items.drain(..)));
                });
                while let Some((_capability, parts)) = passed(&mut waiting, &[frontier]) {
                    if let Some(on_epoch) = &mut on_epoch {
                        on_epoch(Epoch::merged(parts));
                    }
                }
            }
        },
    );
    done.probe().0
}
