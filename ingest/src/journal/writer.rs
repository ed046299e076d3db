//! The one thread that writes the journal. It groups what waits, syncs, answers, and after an error
//! reopens the store; it never waits for a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use citywatch_model::{Body, Position};
use tokio::sync::oneshot;

use super::group::{Append, Command, Group, gather};
use super::shared::{Progress, Shared};
use super::space::SpaceWatch;
use super::store::Store;
use super::{JournalConfig, JournalError, codec};
use crate::Clock;
use crate::metrics::JournalMetrics;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How often the size on disk is asked for the metric.
const SIZE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    config: JournalConfig,
    shared: Arc<Shared>,
    clock: Clock,
    metrics: JournalMetrics,
    ticking: Arc<AtomicBool>,
    space: SpaceWatch,
    /// Set while the store is closed after an error.
    broken: Option<Broken>,
    sized: Option<Instant>,
}

struct Broken {
    reason: String,
    retry_at: Instant,
    pause: Duration,
}

impl Writer {
    pub(super) fn new(
        config: JournalConfig,
        shared: Arc<Shared>,
        clock: Clock,
        metrics: JournalMetrics,
        ticking: Arc<AtomicBool>,
    ) -> Writer {
        let space = SpaceWatch::new(
            &config.dir,
            config.free_space_mark,
            metrics.free_bytes.clone(),
        );
        Writer {
            config,
            shared,
            clock,
            metrics,
            ticking,
            space,
            broken: None,
            sized: None,
        }
    }

    /// Works until it is told to close, or until every handle is gone.
    pub(super) fn run(mut self, queue: &Receiver<Command>) {
        let mut kept = None;
        loop {
            let command = match kept.take() {
                Some(command) => Ok(command),
                None => queue.recv_timeout(self.patience()),
            };
            match command {
                Ok(Command::Append(first)) => {
                    let group = gather(first, queue, &mut kept);
                    self.write(group);
                }
                Ok(Command::Cut(position, answer)) => respond(answer, self.cut_below(position)),
                Ok(Command::Close(answer)) => {
                    self.shared.finish();
                    // so that the folder is free once the caller's handles are gone
                    drop(self);
                    respond(answer, ());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.shared.finish();
                    return;
                }
            }
            self.measure();
        }
    }

    fn patience(&self) -> Duration {
        let retry = self
            .broken
            .as_ref()
            .map(|broken| broken.retry_at.saturating_duration_since(Instant::now()));
        retry
            .unwrap_or(self.config.tick_after)
            .min(self.config.tick_after)
    }

    fn idle(&mut self) {
        let now = self.clock.now();
        let ready = self.ready().is_ok();
        // a tick that does not move the clock would say nothing
        if ready && self.ticking.load(Ordering::Relaxed) && now > self.shared.progress().clock {
            let (answer, _) = oneshot::channel();
            self.write(vec![Append {
                bodies: vec![Body::Tick],
                arrived: Instant::now(),
                answer,
            }]);
        }
    }

    fn write(&mut self, group: Vec<Append>) {
        let (bodies, waiting): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|append| (append.bodies, (append.arrived, append.answer)))
            .unzip();
        let written = self.ready().and_then(|()| self.write_synced(bodies));
        match written {
            Ok(ends) => {
                for ((arrived, answer), end) in waiting.into_iter().zip(ends) {
                    self.metrics
                        .append_seconds
                        .observe(arrived.elapsed().as_secs_f64());
                    respond(answer, Ok(end));
                }
            }
            Err(error) => {
                self.metrics.refused.inc_by(waiting.len() as u64);
                for (_, answer) in waiting {
                    respond(answer, Err(error.clone()));
                }
            }
        }
    }

    fn write_synced(&mut self, bodies: Vec<Vec<Body>>) -> Result<Vec<Position>, JournalError> {
        let Progress { synced, clock, .. } = self.shared.progress();
        let Group { blocks, ends } = Group::number(bodies, synced, clock, self.clock.now());
        let encoded: Result<Vec<_>, _> = blocks
            .iter()
            .map(|block| {
                codec::encode(block).map(|bytes| (block.first().map_or(0, |r| r.position), bytes))
            })
            .collect();
        let encoded = encoded.map_err(|error| JournalError::Unwritable {
            reason: error.to_string(),
        })?;
        let bytes: usize = encoded.iter().map(|(_, bytes)| bytes.len()).sum();
        let started = Instant::now();
        match self.shared.with_store(|store| store.write(encoded)) {
            Some(Ok(())) => {}
            Some(Err(reason)) => return Err(self.break_off(reason)),
            None => return Err(self.write_error("it is being reopened".to_owned())),
        }
        self.metrics
            .sync_seconds
            .observe(started.elapsed().as_secs_f64());
        self.metrics.written_bytes.inc_by(bytes as u64);
        for block in &blocks {
            self.metrics.block_records.observe(block.len() as f64);
            self.metrics.count_kinds(block);
        }
        self.shared.publish(blocks.into_iter().map(Arc::from));
        Ok(ends)
    }

    fn cut_below(&mut self, position: Position) -> Result<Position, JournalError> {
        if self.broken.is_some() {
            self.reopen_if_due()?;
        }
        match self.shared.with_store(|store| store.cut_below(position)) {
            Some(Ok(first)) => {
                let first = first.min(self.shared.progress().synced + 1);
                self.shared.set_first(first);
                Ok(first)
            }
            Some(Err(reason)) => Err(self.break_off(reason)),
            None => Err(self.write_error("it is being reopened".to_owned())),
        }
    }

    /// Whether records can be written now.
    fn ready(&mut self) -> Result<(), JournalError> {
        self.space.check()?;
        if self.broken.is_some() {
            self.reopen_if_due()
        } else {
            Ok(())
        }
    }

    /// After any write error the storage refuses everything until it is opened anew.
    fn break_off(&mut self, reason: String) -> JournalError {
        tracing::error!(
            path = %self.config.dir.display(), %reason,
            "the journal cannot be written; readings are refused until it can: check the disk"
        );
        self.shared.close_store();
        self.metrics.write_errors.inc();
        let error = self.write_error(reason.clone());
        self.broken = Some(Broken {
            reason,
            retry_at: Instant::now() + FIRST_RETRY,
            pause: FIRST_RETRY,
        });
        error
    }

    fn write_error(&self, reason: String) -> JournalError {
        JournalError::Write {
            path: self.config.dir.clone(),
            reason,
        }
    }

    fn reopen_if_due(&mut self) -> Result<(), JournalError> {
        let Some(broken) = &self.broken else {
            return Ok(());
        };
        if Instant::now() < broken.retry_at {
            return Err(self.write_error(broken.reason.clone()));
        }
        let pause = (broken.pause * 2).min(LAST_RETRY);
        match self.reopen() {
            Ok(()) => {
                tracing::info!(path = %self.config.dir.display(), "the journal is open again");
                self.broken = None;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, retry_in = ?pause, "the journal stays closed");
                let reason = error.to_string();
                self.broken = Some(Broken {
                    reason: reason.clone(),
                    retry_at: Instant::now() + pause,
                    pause,
                });
                Err(self.write_error(reason))
            }
        }
    }

    fn reopen(&self) -> Result<(), JournalError> {
        let Progress { synced, clock, .. } = self.shared.progress();
        let store = Store::open(&self.config.dir)?;
        let mut extent = store.extent()?;
        if extent.last < synced {
            return Err(JournalError::Damaged {
                position: synced,
                reason: format!(
                    "it ends at position {} but {synced} was promised",
                    extent.last
                ),
            });
        }
        extent.clock = extent.clock.max(clock);
        self.shared.reopened(store, extent);
        Ok(())
    }

    fn measure(&mut self) {
        if self
            .sized
            .is_none_or(|sized| sized.elapsed() >= SIZE_INTERVAL)
        {
            self.sized = Some(Instant::now());
            if let Some(bytes) = self.shared.with_store(Store::disk_bytes) {
                self.metrics
                    .disk_bytes
                    .set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
    }
}

/// Whoever asked may have gone; the records stay either way.
fn respond<T>(answer: oneshot::Sender<T>, value: T) {
    drop(answer.send(value));
}
