//! The archive: every reading of the history once more in InfluxDB 2, for those who keep years. Read from the journal
//! behind a cursor of its own, so it may lag, stop or be unreachable for weeks; it must never hold up whoever brings
//! readings, and never drop one that was not refused by the archive itself.
//!
//! # Format
//! A reading is a point `reading,measurement=…,sensor=…[,unit=…] value=…[,flags=…i] MILLISECONDS` at its event time.
//! Names are tags, so the number of series is that of the sensors' measurements; `flags` are the bits of
//! [`citywatch_model::flags`], absent if none is set.
//!
//! # Invariants
//! * A point is what the *history* keeps of (sensor, measurement, event time): the first value wins there, so the
//!   same series and time always carry the same point, and writing it again changes nothing.
//! * The cursor moves, on disk, after everything up to it was taken or set aside: after a crash the last points are
//!   written again, none is left out.
//! * Only a point that the archive itself refused is set aside, and only when the archive took another one beside it
//!   or said that points are the matter; it is counted, and the newest 10,000 can be looked at. Everything else
//!   (no answer, no such bucket, a wrong token) is tried again for ever.
//! * One batch and one block of the journal are in memory, whatever the backlog.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use citywatch_model::Time;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Clock, History, Journal};

mod backoff;
mod client;
mod deliver;
mod follow;
mod metrics;
mod point;
mod state;
mod store;

pub use client::{check_url, reach};
pub use state::{ArchiveStatus, Failure};
pub use store::{KEPT_REFUSED, RefusedPoint};

use client::Client;
use metrics::ArchiveMetrics;
use state::State;
use store::Store;

/// The thread gives way to whatever serves people and sensors.
const NICE: i32 = 5;

/// Where the archive is and how it is written.
#[derive(Clone)]
pub struct ArchiveConfig {
    /// Folder of the cursor and of the points set aside; made if absent.
    pub dir: PathBuf,
    /// `http://host:port` or `https://host`, see [`check_url`].
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Token with the right to write; empty: none is sent.
    pub token: String,
    /// Points in one request, at most.
    pub batch_points: usize,
    /// A smaller batch goes out after this long.
    pub flush_every: Duration,
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// For a request with its answer.
    pub timeout: Duration,
    /// Wait before the second attempt; doubled after each failure, with jitter.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// While it catches up, not more points a second than this.
    pub points_per_second: u32,
}

impl ArchiveConfig {
    /// The defaults, for an archive at `url` with its cursor in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, url: &str, org: &str, bucket: &str) -> ArchiveConfig {
        ArchiveConfig {
            dir: dir.into(),
            url: url.to_owned(),
            org: org.to_owned(),
            bucket: bucket.to_owned(),
            token: String::new(),
            batch_points: 5_000,
            flush_every: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            points_per_second: 50_000,
        }
    }

    /// What the cursor belongs to: another archive is written from the journal's beginning.
    fn target(&self) -> String {
        let (url, org, bucket) = (self.url.trim_end_matches('/'), &self.org, &self.bucket);
        format!("{url}\n{org}\n{bucket}")
    }
}

/// Why the archive cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The address cannot be used.
    #[error("archive url {0}")]
    Url(String),
    /// The HTTP client refuses its settings.
    #[error("the client of the archive cannot be set up: {0}")]
    Client(String),
    /// The folder of the cursor cannot be opened.
    #[error("archive folder {}: {reason}: check the disk; without the folder everything is written again, which changes nothing", path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// What the storage said.
        reason: String,
    },
    /// Its metrics are registered already.
    #[error(
        "archive metrics cannot be registered: {0}: give each archive a metrics registry of its own"
    )]
    Metrics(String),
    /// The thread cannot be started.
    #[error("the archive cannot start its thread: {0}")]
    Thread(String),
}

/// What the archive stands on.
#[derive(Clone)]
pub struct Sources {
    /// Everything that was accepted.
    pub journal: Journal,
    /// What is kept of it.
    pub history: History,
    /// For the times of failures.
    pub clock: Clock,
}

/// A handle on the running archive; clones share it.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    config: ArchiveConfig,
    sources: Sources,
    metrics: ArchiveMetrics,
    state: Mutex<State>,
    store: Mutex<Store>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Archive {
    /// Opens the cursor and begins to write, on a thread of its own.
    ///
    /// # Errors
    /// If address, folder or client are of no use; an archive that does not answer is no error.
    pub fn start(
        config: ArchiveConfig,
        sources: Sources,
        metrics: &prometheus::Registry,
    ) -> Result<Archive, ArchiveError> {
        let client = Client::new(&config)?;
        let metrics = ArchiveMetrics::register(metrics)
            .map_err(|error| ArchiveError::Metrics(error.to_string()))?;
        let failed = |reason| ArchiveError::Store {
            path: config.dir.clone(),
            reason,
        };
        let store = Store::open(&config.dir).map_err(failed)?;
        let mark = store.cursor(&config.target()).map_err(failed)?;
        let state = State::new(
            follow::resume(mark, &sources.journal),
            store.refused_in_all(),
        );
        let inner = Arc::new(Inner {
            config,
            sources,
            metrics,
            state: Mutex::new(state),
            store: Mutex::new(store),
            stop: watch::Sender::new(false),
            thread: Mutex::new(None),
        });
        let worker = inner.clone();
        let thread = std::thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || worker.run(&client))
            .map_err(|error| ArchiveError::Thread(error.to_string()))?;
        *inner.thread.lock() = Some(thread);
        Ok(Archive { inner })
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> ArchiveStatus {
        let journal = &self.inner.sources.journal;
        // the journal's end last, so that the archive never seems to be ahead of it
        let state = self.inner.state.lock().clone();
        state.status(journal.last(), journal.last_clock())
    }

    /// Brings the gauges up to this moment; a stuck archive would leave them where they were.
    pub fn observe(&self) {
        self.inner.metrics.observe(&self.status());
    }

    /// The newest points that were set aside, newest first, at most `limit`; those of earlier runs too. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn refused(&self, limit: usize) -> Result<Vec<RefusedPoint>, ArchiveError> {
        let read = self.inner.store.lock().refused(limit);
        read.map_err(|reason| ArchiveError::Store {
            path: self.inner.config.dir.clone(),
            reason,
        })
    }

    /// Ends at once, whatever is under way: the next start goes on from the cursor. The folder is free then.
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        let thread = self.inner.thread.lock().take();
        if let Some(thread) = thread
            && let Ok(Err(_)) = tokio::task::spawn_blocking(move || thread.join()).await
        {
            tracing::error!(
                "the archive ended in disorder; it goes on from its cursor at the next start"
            );
        }
        self.inner.store.lock().close();
    }
}

impl Inner {
    fn run(&self, client: &Client) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the archive runs at the service's own priority");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(follow::follow(self, client));
                // a name server that is silent is not waited for
                runtime.shutdown_background();
            }
            Err(error) => {
                tracing::error!(%error, "the archive cannot run; nothing is archived until the service starts again");
                self.fail(&format!("it could not be started: {error}"), "internal");
            }
        }
    }

    fn now(&self) -> Time {
        self.sources.clock.now()
    }
}
