//! The middle of the road: journal -> engine -> alert book, and journal -> history beside it.
//! Each reader has its own cursor; nothing here waits for the network. Queues are bounded: a slow ledger
//! holds up the engine, a slow engine its reader, and the journal keeps what they have not read.

mod facts;
mod notes;
mod saved;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{Change, Epoch as LedgerEpoch};
use citywatch_ingest::{History, Journal, JournalError, Reader};
use citywatch_model::{Position, Record};
use citywatch_rules::{Engine, Epoch, Snapshot};
use prometheus::{Histogram, HistogramOpts};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use facts::Facts;
pub use notes::Notes;
pub use saved::SavedStates;

/// Epochs that may wait between engine and ledger.
const WAITING_EPOCHS: usize = 256;
/// Transitions that one ledger transaction takes at most, when epochs have piled up.
const GATHERED_TRANSITIONS: usize = 512;
/// How the engine runs.
pub struct EngineSetup {
    /// Number of threads.
    pub workers: usize,
    /// Where its state is kept for the next start.
    pub saved: SavedStates,
    /// How often; it is also kept when the service stops.
    pub save_every: Duration,
}

/// The running readers of a journal.
pub struct Pipeline {
    feed: std::thread::JoinHandle<()>,
    book: std::thread::JoinHandle<()>,
    saver: std::thread::JoinHandle<()>,
    history: JoinHandle<()>,
    /// Position up to which the alert book is complete.
    pub booked: watch::Receiver<Position>,
    /// Readings that rules could not use.
    pub notes: Notes,
    /// What is in force as of the records fed so far.
    pub facts: watch::Receiver<Arc<Facts>>,
    /// Position up to which records were fed to the engine.
    pub fed: watch::Receiver<Position>,
}

fn engine_seconds(metrics: &prometheus::Registry) -> Result<Histogram, prometheus::Error> {
    let buckets = [
        5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
    ];
    let name = "citywatch_engine_epoch_seconds";
    let options = HistogramOpts::new(
        name,
        "From an epoch's hand-over to the engine to its transitions.",
    )
    .buckets(buckets.to_vec());
    let seconds = Histogram::with_opts(options)?;
    metrics.register(Box::new(seconds.clone()))?;
    Ok(seconds)
}

/// What happened to epochs between feeding and booking.
#[derive(Default)]
struct UnderWay {
    /// last position of each epoch in the engine, and when it was handed over
    epochs: VecDeque<(Position, Instant)>,
    /// facts in force from a position on, not yet reached by the ledger
    facts: VecDeque<(Position, Arc<Facts>)>,
}

impl Pipeline {
    /// Starts reading `journal`: the engine from the newest saved state that the ledger has committed, or from the
    /// beginning; the ledger and the history from where they stand.
    pub fn start(
        journal: &Journal,
        ledger: Ledger,
        history: History,
        setup: EngineSetup,
        metrics: &prometheus::Registry,
    ) -> Result<Pipeline, String> {
        let seconds = engine_seconds(metrics).map_err(|error| error.to_string())?;
        let notes = Notes::register(metrics).map_err(|error| error.to_string())?;
        let under_way = Arc::new(Mutex::new(UnderWay::default()));
        let (epochs, epoch_inbox) = mpsc::channel::<Epoch>(WAITING_EPOCHS);
        // what an earlier run has counted is not counted again
        let replayed = journal.last();
        let on_epoch = {
            let (under_way, notes) = (under_way.clone(), notes.clone());
            move |epoch: Epoch| {
                if epoch.position > replayed {
                    notes.add(&epoch.counts);
                }
                let handed_over = lock(&under_way).epochs.pop_front();
                if let Some((_, started)) = handed_over {
                    seconds.observe(started.elapsed().as_secs_f64());
                }
                if epochs.blocking_send(epoch).is_err() {
                    tracing::debug!("the alert book has ended before the engine");
                }
            }
        };
        let committed = ledger.position().min(journal.last());
        let Resumed {
            engine,
            position,
            facts: known,
        } = resumed(&setup, committed, on_epoch)?;

        let (fed_sender, fed) = watch::channel(position);
        let (facts_sender, facts) = watch::channel(Arc::clone(&known));
        let (booked_sender, booked) = watch::channel(ledger.position());
        let feed = Feed {
            engine,
            under_way: under_way.clone(),
            fed: fed_sender,
            facts: facts_sender,
            save_every: setup.save_every,
        };
        let reader = journal.reader(position);
        let runtime = tokio::runtime::Handle::current();
        let feed = std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || feed.run(reader, &runtime))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        // a thread of its own: an alert must not wait behind the publishes that the runtime's threads serve
        let (saves, to_save) = std::sync::mpsc::channel();
        let book = Book {
            ledger,
            under_way,
            booked: booked_sender,
            saves,
        };
        let saver = std::thread::Builder::new()
            .name("saver".to_owned())
            .spawn(move || save(&setup.saved, &to_save))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let runtime = tokio::runtime::Handle::current();
        let book = std::thread::Builder::new()
            .name("book".to_owned())
            .spawn(move || runtime.block_on(book.keep(epoch_inbox, known)))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let source = journal.clone();
        let history = tokio::spawn(async move {
            if let Err(error) = history.follow(&source).await {
                tracing::error!(%error, "the history stands still; charts and the count of readings with it");
            }
        });
        Ok(Pipeline {
            feed,
            book,
            saver,
            history,
            booked,
            notes,
            facts,
            fed,
        })
    }

    /// Waits until everything that the closed journal held has gone all the way.
    pub async fn drained(self) {
        let feed = tokio::task::spawn_blocking(move || self.feed.join());
        let book = tokio::task::spawn_blocking(move || self.book.join());
        let saver = tokio::task::spawn_blocking(move || self.saver.join());
        for (what, ended) in [
            ("feed", feed.await.is_ok_and(|joined| joined.is_ok())),
            ("alert book", book.await.is_ok_and(|joined| joined.is_ok())),
            ("saver", saver.await.is_ok_and(|joined| joined.is_ok())),
            ("history", self.history.await.is_ok()),
        ] {
            if !ended {
                tracing::error!(
                    "the {what} ended by a panic; the next start reads again from the journal"
                );
            }
        }
    }
}

/// An engine, and from where it goes on.
struct Resumed {
    engine: Engine,
    position: Position,
    facts: Arc<Facts>,
}

/// The engine with the newest saved state up to `committed` that it can use, else with none.
fn resumed(
    setup: &EngineSetup,
    committed: Position,
    on_epoch: impl FnMut(Epoch) + Send + Clone + 'static,
) -> Result<Resumed, String> {
    for saved in setup.saved.up_to(committed) {
        let started = Instant::now();
        let position = saved.position;
        match Engine::resume(setup.workers, &saved.engine, Box::new(on_epoch.clone())) {
            Ok(engine) => {
                tracing::info!(
                    position,
                    after_ms = started.elapsed().as_millis() as u64,
                    "the engine goes on from its saved state"
                );
                return Ok(Resumed {
                    engine,
                    position,
                    facts: saved.facts,
                });
            }
            Err(error) if error.is_rebuilt_from_journal() => {
                tracing::warn!(position, %error, "a saved state of the engine was refused");
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let engine =
        Engine::start(setup.workers, Box::new(on_epoch)).map_err(|error| error.to_string())?;
    Ok(Resumed {
        engine,
        position: 0,
        facts: Arc::default(),
    })
}

/// Writes states as they come. One that cannot be written is no loss: the journal holds everything.
fn save(states: &SavedStates, to_save: &std::sync::mpsc::Receiver<(Arc<Facts>, Snapshot)>) {
    for (facts, snapshot) in to_save {
        match states.save(&facts, &snapshot) {
            Ok(()) => tracing::debug!(position = snapshot.position, "engine state saved"),
            Err(error) => {
                tracing::warn!(%error, "the engine's state cannot be saved; the next start reads more of the journal");
            }
        }
    }
}

fn lock(under_way: &Mutex<UnderWay>) -> std::sync::MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Feed {
    engine: Engine,
    under_way: Arc<Mutex<UnderWay>>,
    fed: watch::Sender<Position>,
    facts: watch::Sender<Arc<Facts>>,
    save_every: Duration,
}

impl Feed {
    fn run(self, mut reader: Reader, runtime: &tokio::runtime::Handle) {
        let mut saved = (*self.fed.borrow(), Instant::now());
        loop {
            let epoch = match runtime.block_on(reader.next()) {
                Ok(epoch) => epoch,
                Err(JournalError::Closed) => break,
                Err(error) => {
                    tracing::error!(%error, "the engine cannot read the journal; no alert can be raised until it can");
                    std::thread::sleep(Duration::from_secs(1));
                    continue;
                }
            };
            if let Err(error) = self.submit(&epoch) {
                tracing::error!(%error, "the engine has stopped; restart the service");
                break;
            }
            if saved.1.elapsed() >= self.save_every {
                saved = (self.ask_for_state(saved.0), Instant::now());
            }
        }
        self.ask_for_state(saved.0);
        if let Err(error) = self.engine.close(None) {
            tracing::error!(%error, "the engine did not end in order");
        }
    }

    /// Has the engine's state written, unless nothing was read since position `saved`; what was read by now.
    fn ask_for_state(&self, saved: Position) -> Position {
        let fed = *self.fed.borrow();
        if fed > saved {
            lock(&self.under_way)
                .epochs
                .push_back((fed, Instant::now()));
            if let Err(error) = self.engine.snapshot() {
                tracing::error!(%error, "the engine has stopped; restart the service");
            }
        }
        fed
    }

    fn submit(&self, epoch: &Arc<[Record]>) -> Result<(), String> {
        let Some(last) = epoch.last().map(|record| record.position) else {
            return Ok(());
        };
        let newer = self.facts.borrow().steps(epoch)?;
        {
            let mut under_way = lock(&self.under_way);
            under_way.epochs.push_back((last, Instant::now()));
            under_way.facts.extend(newer.iter().cloned());
        }
        if let Some((_, facts)) = newer.into_iter().next_back() {
            self.facts.send_replace(facts);
        }
        self.engine
            .submit(epoch.clone())
            .map_err(|error| error.to_string())?;
        self.fed.send_replace(last);
        Ok(())
    }
}

struct Book {
    ledger: Ledger,
    under_way: Arc<Mutex<UnderWay>>,
    booked: watch::Sender<Position>,
    saves: std::sync::mpsc::Sender<(Arc<Facts>, Snapshot)>,
}

impl Book {
    /// Books epochs in order, several in one transaction when they have piled up.
    async fn keep(self, mut inbox: mpsc::Receiver<Epoch>, mut facts: Arc<Facts>) {
        while let Some(first) = inbox.recv().await {
            let mut gathered = gather(first, &mut inbox);
            let snapshot = gathered.snapshot.take();
            let newer = self.facts_until(gathered.position);
            for piece in explained(gathered, &mut facts, newer) {
                self.write(piece).await;
            }
            if let Some(snapshot) = snapshot
                && self.saves.send((Arc::clone(&facts), snapshot)).is_err()
            {
                tracing::error!(
                    "nobody saves the engine's state any more; the next start reads the journal from an older one"
                );
            }
        }
        if let Err(error) = self.ledger.flush_position().await {
            tracing::warn!(%error, "the ledger's position was not written; the next start reads a little more of the journal");
        }
    }

    /// Takes what came into force up to `position`.
    fn facts_until(&self, position: Position) -> Vec<(Position, Arc<Facts>)> {
        let mut under_way = lock(&self.under_way);
        let due = under_way
            .facts
            .iter()
            .take_while(|(from, _)| *from <= position)
            .count();
        under_way.facts.drain(..due).collect()
    }

    /// A failing ledger is tried again until it works: an alert is never skipped.
    async fn write(&self, epoch: LedgerEpoch) {
        let mut wait = Duration::from_millis(100);
        loop {
            match self.ledger.apply(epoch.clone()).await {
                Ok(_) => {
                    self.booked.send_replace(epoch.position);
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, position = epoch.position, "the alert book cannot be written; trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
            }
        }
    }
}

/// What an epoch means by the facts at each of its positions; it is cut where rules leave their shadow, because that
/// belongs into one transaction with the position.
fn explained(
    epoch: Epoch,
    facts: &mut Arc<Facts>,
    newer: Vec<(Position, Arc<Facts>)>,
) -> Vec<LedgerEpoch> {
    let mut pieces = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    let mut transitions = epoch.transitions.into_iter().peekable();
    for (from, newer) in newer {
        while let Some(earlier) = transitions.next_if(|transition| transition.position <= from) {
            changes.push(facts.explain(earlier));
        }
        let lit = newer.lit(facts);
        *facts = newer;
        if !lit.is_empty() {
            pieces.push(LedgerEpoch {
                position: from,
                clock: epoch.clock,
                changes: std::mem::take(&mut changes),
                lit,
            });
        }
    }
    changes.extend(transitions.map(|transition| facts.explain(transition)));
    pieces.push(LedgerEpoch {
        position: epoch.position,
        clock: epoch.clock,
        changes,
        lit: Vec::new(),
    });
    pieces
}

fn gather(mut gathered: Epoch, inbox: &mut mpsc::Receiver<Epoch>) -> Epoch {
    // what was in force at a snapshot is known only at its own position
    while gathered.transitions.len() < GATHERED_TRANSITIONS && gathered.snapshot.is_none() {
        let Ok(next) = inbox.try_recv() else { break };
        gathered.snapshot = next.snapshot;
        gathered.position = next.position;
        gathered.clock = next.clock;
        gathered.transitions.extend(next.transitions);
    }
    gathered
}
