//! The outbox sends what the ledger has queued, at least once, and reports what became of it.
//!
//! Event driven: a commit hands its deliveries over in memory, and at start the rows that the process before did
//! not finish are taken up again. The database is the queue; what is here may be lost at any moment.
//!
//! * One lane per alert, channel and address keeps the order in which a recipient hears of an alert.
//! * At most so many attempts at a time per channel, and fewer per host, so that a dead gateway delays only those
//!   behind it.
//! * No attempt starts without asking [`Flight`](crate::flight::Flight), which a withdrawal holds shut.

mod config;
mod lane;
mod order;
mod place;
mod record;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::OutboxConfig;

use crate::LedgerError;
use crate::channel::{Channel, Endpoint};
use crate::ledger::{Job, Ledger, Report};
use place::{Lane, LaneKey, Waiting};

/// The running outbox.
pub struct Outbox {
    inner: Arc<Inner>,
    recorder: JoinHandle<()>,
}

/// A channel with its limit.
struct Served {
    channel: Arc<dyn Channel>,
    limit: Arc<Semaphore>,
}

/// A host that deliveries go to.
#[derive(Clone)]
struct Host {
    limit: Arc<Semaphore>,
    /// It has taken something.
    took: Arc<Notify>,
}

struct Inner {
    ledger: Ledger,
    config: OutboxConfig,
    channels: HashMap<&'static str, Served>,
    hosts: Mutex<HashMap<String, Host>>,
    lanes: Mutex<HashMap<LaneKey, Lane>>,
    /// Taken away when the outbox stops, so that the recorder comes to its end.
    reports: Mutex<Option<mpsc::UnboundedSender<Report>>>,
    stopping: CancellationToken,
    lane_tasks: TaskTracker,
}

/// Where the ledger puts what it has committed. Once the outbox has stopped it takes nothing; the rows wait.
pub(crate) struct Inbox(Weak<Inner>);

impl Inbox {
    /// Sends these as soon as may be; `committed` is when their transaction ended.
    pub fn put(&self, jobs: impl IntoIterator<Item = Job>, committed: Instant) {
        let Some(inner) = self.0.upgrade() else {
            return;
        };
        for job in jobs {
            inner.put(Waiting {
                job,
                committed: Some(committed),
            });
        }
    }

    /// Ends the wait of a delivery for its next attempt.
    pub fn hurry(&self, delivery: i64) {
        if let Some(inner) = self.0.upgrade() {
            inner.hurry(delivery);
        }
    }
}

impl Outbox {
    /// Starts to send over `channels`, beginning with what an earlier process has left.
    ///
    /// # Errors
    /// If the queue cannot be read, or the ledger has an outbox already.
    pub async fn start(
        ledger: Ledger,
        channels: Vec<Arc<dyn Channel>>,
        config: OutboxConfig,
    ) -> Result<Outbox, LedgerError> {
        let (reports, inbox) = mpsc::unbounded_channel();
        let limit = config.per_channel;
        let serve = |channel: Arc<dyn Channel>| {
            (
                channel.kind(),
                Served {
                    channel,
                    limit: Arc::new(Semaphore::new(limit)),
                },
            )
        };
        let kinds = channels.iter().map(|channel| channel.kind());
        ledger.shared.channel_notes.switched_on(kinds);
        let inner = Arc::new(Inner {
            ledger: ledger.clone(),
            config,
            channels: channels.into_iter().map(serve).collect(),
            hosts: Mutex::default(),
            lanes: Mutex::default(),
            reports: Mutex::new(Some(reports)),
            stopping: CancellationToken::new(),
            lane_tasks: TaskTracker::new(),
        });
        // while this session is open nothing commits, so no delivery is taken up twice or missed
        let session = ledger.begin().await?;
        let left = ledger.unfinished().await?;
        if !ledger.connect_outbox(Inbox(Arc::downgrade(&inner))) {
            return Err(LedgerError::Conflict(
                "the ledger has an outbox already: stop that one first".to_owned(),
            ));
        }
        if !left.is_empty() {
            tracing::info!(deliveries = left.len(), "taking up what was not finished");
        }
        for job in left {
            inner.put(Waiting {
                job,
                committed: None,
            });
        }
        drop(session);
        let recorder = tokio::spawn(record::run(ledger, inbox, inner.stopping.clone()));
        Ok(Outbox { inner, recorder })
    }

    /// Starts no further attempt, waits for those under way and for their reports. What is left is taken up at the
    /// next start.
    pub async fn stop(self) {
        self.inner.stopping.cancel();
        self.inner.lane_tasks.close();
        self.inner.lane_tasks.wait().await;
        drop(lock(&self.inner.reports).take());
        self.inner.ledger.disconnect_outbox();
        if let Err(error) = self.recorder.await {
            tracing::error!(%error, "the outbox could not write its last reports; these deliveries will be repeated");
        }
    }
}

impl Inner {
    fn put(self: &Arc<Inner>, waiting: Waiting) {
        if self.stopping.is_cancelled() {
            return;
        }
        let shared = &self.ledger.shared;
        shared.flight.enter(waiting.job.delivery);
        shared.metrics.outbox_changed(1);
        let key = LaneKey::of(&waiting.job);
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get_mut(&key) {
            lane.push(waiting);
        } else {
            lanes.insert(key.clone(), Lane::new(waiting));
            self.lane_tasks.spawn(lane::run(Arc::clone(self), key));
        }
    }

    /// With its limit of attempts at a time; a gateway's own setting goes before ours.
    fn host(&self, endpoint: &Endpoint, own: Option<usize>) -> Host {
        let name = format!("{} {}", endpoint.kind(), endpoint.host());
        let mut hosts = lock(&self.hosts);
        let host = hosts.entry(name).or_insert_with(|| Host {
            limit: Arc::new(Semaphore::new(own.unwrap_or(self.config.per_host))),
            took: Arc::default(),
        });
        host.clone()
    }

    fn report(&self, report: Report) {
        let sent = lock(&self.reports)
            .as_ref()
            .is_some_and(|reports| reports.send(report).is_ok());
        if !sent {
            tracing::warn!(
                "a report came after the outbox had stopped; the delivery will be repeated"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
