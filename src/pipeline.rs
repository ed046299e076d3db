//! The middle of the road: journal -> engine -> alert book, and journal -> history beside it.
//! Each reader has its own cursor; nothing here waits for the network. Queues are bounded: a slow ledger
//! holds up the engine, a slow engine its reader, and the journal keeps what they have not read.

mod facts;
mod notes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{Change, Epoch as LedgerEpoch};
use citywatch_ingest::{History, Journal, JournalError, Reader};
use citywatch_model::{Position, Record};
use citywatch_rules::{Engine, Epoch};
use prometheus::{Histogram, HistogramOpts};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use facts::Facts;
pub use notes::Notes;

/// Epochs that may wait between engine and ledger.
const WAITING_EPOCHS: usize = 256;
/// Transitions that one ledger transaction takes at most, when epochs have piled up.
const GATHERED_TRANSITIONS: usize = 512;
/// The running readers of a journal.
pub struct Pipeline {
    feed: std::thread::JoinHandle<()>,
    book: std::thread::JoinHandle<()>,
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
    /// Starts reading `journal`: the engine from its beginning (its state lives in memory only), the
    /// ledger and the history from where they stand.
    pub fn start(
        journal: &Journal,
        ledger: Ledger,
        history: History,
        workers: usize,
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
            Box::new(move |epoch: Epoch| {
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
            })
        };
        let engine = Engine::start(workers, on_epoch).map_err(|error| error.to_string())?;

        let (fed_sender, fed) = watch::channel(0);
        let (facts_sender, facts) = watch::channel(Arc::new(Facts::default()));
        let (booked_sender, booked) = watch::channel(ledger.position());
        let feed = Feed {
            engine,
            under_way: under_way.clone(),
            fed: fed_sender,
            facts: facts_sender,
        };
        let reader = journal.reader(0);
        let runtime = tokio::runtime::Handle::current();
        let feed = std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || feed.run(reader, &runtime))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        // a thread of its own: an alert must not wait behind the publishes that the runtime's threads serve
        let book = Book {
            ledger,
            under_way,
            booked: booked_sender,
        };
        let runtime = tokio::runtime::Handle::current();
        let book = std::thread::Builder::new()
            .name("book".to_owned())
            .spawn(move || runtime.block_on(book.keep(epoch_inbox)))
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
        for (what, ended) in [
            ("feed", feed.await.is_ok_and(|joined| joined.is_ok())),
            ("alert book", book.await.is_ok_and(|joined| joined.is_ok())),
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

fn lock(under_way: &Mutex<UnderWay>) -> std::sync::MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Feed {
    engine: Engine,
    under_way: Arc<Mutex<UnderWay>>,
    fed: watch::Sender<Position>,
    facts: watch::Sender<Arc<Facts>>,
}

impl Feed {
    fn run(self, mut reader: Reader, runtime: &tokio::runtime::Handle) {
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
        }
        if let Err(error) = self.engine.close(None) {
            tracing::error!(%error, "the engine did not end in order");
        }
    }

    fn submit(&self, epoch: &Arc<[Record]>) -> Result<(), String> {
        let Some(last) = epoch.last().map(|record| record.position) else {
            return Ok(());
        };
        let newer = self.facts.borrow().after(epoch)?;
        {
            let mut under_way = lock(&self.under_way);
            under_way.epochs.push_back((last, Instant::now()));
            if let Some(facts) = &newer {
                under_way.facts.push_back((last, facts.clone()));
            }
        }
        if let Some(facts) = newer {
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
}

impl Book {
    /// Books epochs in order, several in one transaction when they have piled up.
    async fn keep(self, mut inbox: mpsc::Receiver<Epoch>) {
        let mut facts = Arc::new(Facts::default());
        while let Some(first) = inbox.recv().await {
            let gathered = gather(first, &mut inbox);
            self.catch_up(&mut facts, gathered.position);
            let changes: Vec<Change> = gathered
                .transitions
                .into_iter()
                .map(|transition| facts.explain(transition))
                .collect();
            self.write(LedgerEpoch {
                position: gathered.position,
                clock: gathered.clock,
                changes,
            })
            .await;
        }
        if let Err(error) = self.ledger.flush_position().await {
            tracing::warn!(%error, "the ledger's position was not written; the next start reads a little more of the journal");
        }
    }

    fn catch_up(&self, facts: &mut Arc<Facts>, position: Position) {
        let mut under_way = lock(&self.under_way);
        while under_way
            .facts
            .front()
            .is_some_and(|(from, _)| *from <= position)
        {
            if let Some((_, newer)) = under_way.facts.pop_front() {
                *facts = newer;
            }
        }
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

fn gather(mut gathered: Epoch, inbox: &mut mpsc::Receiver<Epoch>) -> Epoch {
    while gathered.transitions.len() < GATHERED_TRANSITIONS {
        let Ok(next) = inbox.try_recv() else { break };
        gathered.position = next.position;
        gathered.clock = next.clock;
        gathered.transitions.extend(next.transitions);
    }
    gathered
}
