//! The middle of the road: journal -> engine -> alert book, and journal -> history beside it.
//! Each reader has its own cursor; nothing here waits for the network. Queues are bounded: a slow ledger
//! holds up the engine, a slow engine its reader, and the journal keeps what they have not read.

mod book;
mod facts;
mod feed;
mod notes;
mod resume;
mod saved;
mod standing;
mod standstill;
mod under_way;

use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::Ledger;
use citywatch_ingest::{History, Journal};
use citywatch_model::Position;
use citywatch_rules::Epoch;
use prometheus::{Histogram, HistogramOpts};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use book::Book;
use feed::Feed;
use resume::{Resumed, resumed, save};
use standing::Standing;
use under_way::UnderWay;

pub use facts::Facts;
pub use notes::Notes;
pub use saved::SavedStates;
pub use standstill::{Road, watch as watch_road};

/// Epochs that may wait between engine and ledger.
const WAITING_EPOCHS: usize = 256;

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
    /// The first part that has ended: before the journal is closed, only a fault ends one.
    pub ended: watch::Receiver<Option<&'static str>>,
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

/// Starts a thread that tells `ended` its name when it ends, by a panic too.
fn thread(
    name: &'static str,
    ended: &watch::Sender<Option<&'static str>>,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, String> {
    let last_words = LastWords(name, ended.clone());
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _last_words = last_words;
            work();
        })
        .map_err(|error| format!("cannot start a thread: {error}"))
}

struct LastWords(&'static str, watch::Sender<Option<&'static str>>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.1.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(self.0);
            first
        });
    }
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
        let under_way = UnderWay::default();
        let (epochs, epoch_inbox) = mpsc::channel::<Epoch>(WAITING_EPOCHS);
        // what an earlier run has counted is not counted again
        let replayed = journal.last();
        let on_epoch = {
            let (under_way, notes) = (under_way.clone(), notes.clone());
            move |epoch: Epoch| {
                if epoch.position > replayed {
                    notes.add(&epoch.counts);
                }
                if let Some(inside) = under_way.leave() {
                    seconds.observe(inside.as_secs_f64());
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
        tracing::info!(
            state = position,
            ledger = ledger.position(),
            journal = journal.last(),
            "the engine reads the journal from its saved state on"
        );

        let (fed_sender, fed) = watch::channel(position);
        let (facts_sender, facts) = watch::channel(Arc::clone(&known));
        let (booked_sender, booked) = watch::channel(ledger.position());
        let (saves, to_save) = std::sync::mpsc::channel();
        let feed = Feed {
            engine,
            under_way: under_way.clone(),
            fed: fed_sender,
            facts: facts_sender,
            save_every: setup.save_every,
        };
        let book = Book {
            ledger,
            under_way,
            booked: booked_sender,
            saves,
            standing: (position == 0).then(|| Standing::new(committed)),
        };
        // threads of their own: an alert must not wait behind the publishes that the runtime's threads serve
        let reader = journal.reader(position);
        let runtime = tokio::runtime::Handle::current();
        let (ending, ended) = watch::channel(None);
        let feed = thread("feed", &ending, move || feed.run(reader, &runtime))?;
        let runtime = tokio::runtime::Handle::current();
        let book = thread("alert book", &ending, move || {
            runtime.block_on(book.keep(epoch_inbox, known));
        })?;
        let space = journal.free_space();
        let saver = thread("saver", &ending, move || {
            save(&setup.saved, &space, &to_save);
        })?;
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
            ended,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_by_name() {
        let (ending, ended) = watch::channel(None);
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let other = thread("other", &ending, move || {
            wait.recv().expect("the test says so");
        });
        let broken = thread("alert book", &ending, || panic!("a fault on purpose"));
        assert!(broken.expect("it starts").join().is_err());
        assert_eq!(*ended.borrow(), Some("alert book"));
        go_on.send(()).expect("it waits");
        other.expect("it starts").join().expect("it ends in order");
        assert_eq!(*ended.borrow(), Some("alert book"), "the first one stays");
    }
}
