//! One lane: the deliveries of one alert to one address by one channel, one after the other. What is not Actual has
//! lanes of its own, so that a warning never waits behind a drill.
//!
//! When a newer message of the same warning waits behind one that cannot be delivered, that one gets one more attempt
//! and is then cancelled: the newer message refers to it and says what holds now, so what holds now is never kept
//! back by what held before. Likewise a lifting that cannot be delivered makes room for a new warning on the same alert:
//! it is no longer true, and would be read as the end of the new one if it came after it. A withdrawal stays true
//! (there never was that danger), so it is not cancelled: it keeps its place for a polite moment, then lets newer
//! warnings pass and is tried behind them. Nothing else of another warning takes anybody's place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Inner, lock};
use crate::channel::{Endpoint, SendFailure, Sent};
use crate::ledger::{Job, Outcome, Report};
use crate::settings::wall_clock;
use crate::warning::{Status, WarningKind};

/// What keeps its order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    alert: i64,
    /// The chain of messages that are not Actual.
    drill: Option<i64>,
    channel: String,
    address: String,
}

impl LaneKey {
    pub fn of(job: &Job) -> LaneKey {
        LaneKey {
            alert: job.alert,
            drill: (job.warning.status != Status::Actual).then_some(job.chain),
            channel: job.channel.clone(),
            address: job.address.clone(),
        }
    }
}

/// A delivery on its way.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub job: Job,
    /// When it was queued; `None` if an earlier process did that.
    pub committed: Option<Instant>,
}

/// The first is being sent; it stays here until it is finished.
#[derive(Debug)]
pub(super) struct Lane {
    queue: VecDeque<Waiting>,
    pushed: Arc<Notify>,
}

impl Lane {
    pub fn new(first: Waiting) -> Lane {
        Lane {
            queue: VecDeque::from([first]),
            pushed: Arc::default(),
        }
    }

    pub fn push(&mut self, waiting: Waiting) {
        self.queue.push_back(waiting);
        self.pushed.notify_one();
    }
}

/// What an attempt came to, and how long to wait before the next.
struct Tried {
    report: Report,
    /// The wait that the other side asks for.
    after: Option<Duration>,
}

/// How the turn of the first in the lane ends.
enum Turn {
    Finished,
    /// Others pass it.
    Later {
        attempts: u32,
    },
    /// The outbox stops.
    Stopped,
}

/// Sends what is in the lane until it is empty or the outbox stops.
pub(super) async fn run(inner: Arc<Inner>, key: LaneKey) {
    while let Some((waiting, pushed)) = inner.head(&key) {
        match inner.deliver(&waiting, &key, &pushed).await {
            Turn::Finished => inner.advance(&key),
            Turn::Later { attempts } => inner.step_back(&key, attempts),
            Turn::Stopped => return,
        }
    }
}

impl Inner {
    fn head(&self, key: &LaneKey) -> Option<(Waiting, Arc<Notify>)> {
        let mut lanes = lock(&self.lanes);
        let lane = lanes.get(key)?;
        let head = lane
            .queue
            .front()
            .map(|waiting| (waiting.clone(), Arc::clone(&lane.pushed)));
        if head.is_none() {
            lanes.remove(key);
        }
        head
    }

    /// Puts the first of the lane behind all others.
    fn step_back(&self, key: &LaneKey, attempts: u32) {
        if let Some(lane) = lock(&self.lanes).get_mut(key)
            && let Some(mut first) = lane.queue.pop_front()
        {
            first.job.attempts = attempts;
            lane.queue.push_back(first);
        }
    }

    fn advance(&self, key: &LaneKey) {
        if let Some(lane) = lock(&self.lanes).get_mut(key) {
            lane.queue.pop_front();
        }
    }

    /// Whether something behind the first in the lane is such that `test` holds.
    fn is_behind(&self, key: &LaneKey, test: impl Fn(&Job) -> bool) -> bool {
        let lanes = lock(&self.lanes);
        let mut behind = lanes
            .get(key)
            .into_iter()
            .flat_map(|lane| lane.queue.iter().skip(1));
        behind.any(|waiting| test(&waiting.job))
    }

    /// Why this one is not to be tried again: a newer message of the same warning waits behind it, or it lifts an
    /// earlier warning and the newest that waits says that there is danger again.
    fn superseded(&self, key: &LaneKey, job: &Job) -> Option<&'static str> {
        if self.is_behind(key, |behind| {
            behind.chain == job.chain && behind.warning.identifier != job.warning.identifier
        }) {
            return Some("a newer message");
        }
        let lanes = lock(&self.lanes);
        let mut behind = lanes.get(key)?.queue.iter().skip(1).rev();
        let newest = behind.find(|waiting| waiting.job.chain > job.chain)?;
        let holds = job.warning.kind == WarningKind::Lifted && !newest.job.warning.kind.ends();
        holds.then_some("a newer warning")
    }

    /// Whether this one is a withdrawal that has kept a newer warning waiting for long enough.
    fn lets_pass(&self, key: &LaneKey, job: &Job) -> bool {
        let long = |waiting: &Waiting| {
            let waited = waiting.committed.map(|committed| committed.elapsed());
            waited.is_none_or(|waited| waited >= self.config.polite)
        };
        job.warning.kind == WarningKind::Withdrawn
            && lock(&self.lanes).get(key).is_some_and(|lane| {
                let mut behind = lane.queue.iter().skip(1);
                behind.any(|waiting| waiting.job.chain > job.chain && long(waiting))
            })
    }

    /// Tries until it is finished, makes room, or the outbox stops.
    async fn deliver(&self, waiting: &Waiting, key: &LaneKey, pushed: &Notify) -> Turn {
        let job = &waiting.job;
        let mut attempts = job.attempts;
        loop {
            if self.stopping.is_cancelled() {
                return Turn::Stopped;
            }
            if self.ledger.shared.flight.is_cancelled(job.delivery) {
                return self.forget(job);
            }
            let (endpoint, channel) = match self.way(job, attempts) {
                Ok(way) => way,
                Err(why) => return self.finish(decision(job, attempts, Outcome::GaveUp, why)),
            };
            let permits = tokio::select! {
                permits = self.permits(&endpoint, channel) => permits,
                () = self.stopping.cancelled() => return Turn::Stopped,
            };
            if !self.ledger.shared.flight.start(job.delivery).await {
                return self.forget(job);
            }
            attempts += 1;
            let tried = self.attempt(waiting, attempts, endpoint, channel).await;
            drop(permits);
            if tried.report.outcome.is_final() {
                return self.finish(tried.report);
            }
            self.report(tried.report);
            if let Some(newer) = self.superseded(key, job) {
                let why = format!("{newer} took its place after {attempts} attempts");
                return self.finish(decision(job, attempts, Outcome::Superseded, why));
            }
            if self.lets_pass(key, job) {
                return Turn::Later { attempts };
            }
            let own = || self.config.wait(attempts, fastrand::f64());
            let wait = tried.after.unwrap_or_else(own);
            let pause = self.pause((job, pushed), key, (wait, tried.after.is_some()));
            if !pause.await {
                return Turn::Stopped;
            }
        }
    }

    /// Waits before the next attempt, less long when something waits behind: until that comes if the wait is our own,
    /// and politely if the other side asked for it, unless the message was withdrawn. `false` if the outbox stops.
    async fn pause(
        &self,
        (job, pushed): (&Job, &Notify),
        key: &LaneKey,
        (mut wait, asked_for): (Duration, bool),
    ) -> bool {
        let began = Instant::now();
        loop {
            if self.is_behind(key, |_| true) {
                wait = wait.min(self.config.polite).min(self.config.retry_cap);
            }
            let left = wait.saturating_sub(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => return true,
                () = pushed.notified() => {
                    if !asked_for || self.ledger.shared.flight.is_cancelled(job.delivery) {
                        return true;
                    }
                }
                () = self.stopping.cancelled() => return false,
            }
        }
    }

    /// Where to and by which channel; an error if there is no sense in a further attempt.
    fn way(&self, job: &Job, attempts: u32) -> Result<(Endpoint, &super::Served), String> {
        if job.warning.expires <= self.ledger.now() {
            return Err(format!(
                "the warning lapsed at {} before it could be delivered",
                job.warning.expires
            ));
        }
        if attempts >= self.config.max_attempts {
            return Err(format!("given up after {attempts} attempts"));
        }
        let directory = self.ledger.directory();
        let endpoint = directory
            .endpoint(&job.recipient, &job.channel, &job.address)
            .ok_or("the address is no longer in the plans: put it back and try again")?;
        let channel = self.channels.get(job.channel.as_str()).ok_or_else(|| {
            format!(
                "the channel {} is not switched on: configure it in citywatch.toml",
                job.channel
            )
        })?;
        Ok((endpoint.clone(), channel))
    }

    /// The host's permit first: whoever waits for a slow host holds no place of the channel.
    async fn permits(
        &self,
        endpoint: &Endpoint,
        channel: &super::Served,
    ) -> [Option<OwnedSemaphorePermit>; 2] {
        let acquire = |limit: Arc<Semaphore>| async move { limit.acquire_owned().await.ok() };
        let name = format!("{} {}", endpoint.kind(), endpoint.host());
        let host = acquire(self.host(name, channel.channel.concurrent())).await;
        [host, acquire(Arc::clone(&channel.limit)).await]
    }

    async fn attempt(
        &self,
        waiting: &Waiting,
        number: u32,
        endpoint: Endpoint,
        channel: &super::Served,
    ) -> Tried {
        let job = &waiting.job;
        let order = self.order(job, number, endpoint).await;
        let (at, started) = (wall_clock(), Instant::now());
        let (limit, sender) = (self.config.attempt_timeout, Arc::clone(&channel.channel));
        // a task of its own: a channel that panics fails one attempt, not the lane
        let sending =
            tokio::spawn(async move { tokio::time::timeout(limit, sender.send(&order)).await });
        let result = match sending.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(retry(format!("no answer within {} s", limit.as_secs_f32()))),
            Err(error) => Err(retry(format!("the channel failed: {error}"))),
        };
        let took = started.elapsed();
        let (outcome, status, detail, after) = judged(result);
        let metrics = &self.ledger.shared.metrics;
        if matches!(outcome, Outcome::Accepted | Outcome::Delivered)
            && let Some(committed) = waiting.committed
        {
            metrics.accepted(&job.channel, committed.elapsed());
        }
        metrics.attempted(&job.channel, outcome.attempt().unwrap_or_default(), took);
        let worked = matches!(outcome, Outcome::Accepted | Outcome::Delivered);
        let notes = &self.ledger.shared.channel_notes;
        notes.attempted(&job.channel, worked, at, &detail);
        Tried {
            report: Report {
                delivery: job.delivery,
                number,
                at,
                took,
                status,
                detail,
                outcome,
            },
            after,
        }
    }

    /// Reports the end of a delivery; the recorder forgets it once it is written.
    fn finish(&self, report: Report) -> Turn {
        self.report(report);
        Turn::Finished
    }

    /// A withdrawn delivery: the ledger knows already.
    fn forget(&self, job: &Job) -> Turn {
        self.ledger.shared.flight.leave(job.delivery);
        self.ledger.shared.metrics.outbox_changed(-1);
        Turn::Finished
    }
}

fn retry(detail: String) -> SendFailure {
    SendFailure::Retry {
        detail,
        after: None,
        status: None,
    }
}

fn judged(result: Result<Sent, SendFailure>) -> (Outcome, Option<u16>, String, Option<Duration>) {
    match result {
        Ok(Sent {
            delivered: true,
            status,
            detail,
            ..
        }) => (Outcome::Delivered, status, detail, None),
        Ok(Sent { status, detail, .. }) => (Outcome::Accepted, status, detail, None),
        Err(SendFailure::Retry {
            detail,
            after,
            status,
        }) => (Outcome::Retry, status, detail, after),
        Err(SendFailure::Permanent { detail, status }) => (Outcome::Refused, status, detail, None),
    }
}

/// A report without an attempt.
fn decision(job: &Job, attempts: u32, outcome: Outcome, detail: String) -> Report {
    Report {
        delivery: job.delivery,
        number: attempts,
        at: wall_clock(),
        took: Duration::ZERO,
        status: None,
        detail,
        outcome,
    }
}
