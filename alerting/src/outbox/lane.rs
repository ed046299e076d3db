//! One lane: the deliveries of one alert to one address by one channel, one after the other. What is not Actual has
//! lanes of its own, so that a warning never waits behind a drill.
//!
//! When a newer message of the same warning waits behind one that cannot be delivered, that one gets one more attempt
//! and is then cancelled: the newer message refers to it and says what holds now, so what holds now is never kept
//! back by what held before. A message of another warning takes nobody's place, so no lifting or withdrawal is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Inner, lock};
use crate::channel::{Endpoint, SendFailure, Sent};
use crate::ledger::{Job, Outcome, Report};
use crate::settings::wall_clock;
use crate::warning::Status;

/// However long the other side asks to wait, what follows waits no longer behind a message.
const POLITE: Duration = Duration::from_secs(30);

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

/// Sends what is in the lane until it is empty or the outbox stops.
pub(super) async fn run(inner: Arc<Inner>, key: LaneKey) {
    while let Some((waiting, pushed)) = inner.head(&key) {
        if !inner.deliver(&waiting, &key, &pushed).await {
            return;
        }
        inner.advance(&key);
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

    /// Whether a newer message of the same warning waits behind this one.
    fn has_newer(&self, key: &LaneKey, job: &Job) -> bool {
        self.is_behind(key, |behind| {
            behind.chain == job.chain && behind.warning.identifier != job.warning.identifier
        })
    }

    /// Tries until it is finished (`true`) or the outbox stops (`false`).
    async fn deliver(&self, waiting: &Waiting, key: &LaneKey, pushed: &Notify) -> bool {
        let job = &waiting.job;
        let mut attempts = job.attempts;
        loop {
            if self.stopping.is_cancelled() {
                return false;
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
                () = self.stopping.cancelled() => return false,
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
            if self.has_newer(key, job) {
                let why = format!("a newer message took its place after {attempts} attempts");
                return self.finish(decision(job, attempts, Outcome::Superseded, why));
            }
            let own = || self.config.wait(attempts, fastrand::f64());
            let wait = tried.after.unwrap_or_else(own);
            let pause = self.pause((job, pushed), key, (wait, tried.after.is_some()));
            if !pause.await {
                return false;
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
                wait = wait.min(POLITE).min(self.config.retry_cap);
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
    fn finish(&self, report: Report) -> bool {
        self.report(report);
        true
    }

    /// A withdrawn delivery: the ledger knows already.
    fn forget(&self, job: &Job) -> bool {
        self.ledger.shared.flight.leave(job.delivery);
        self.ledger.shared.metrics.outbox_changed(-1);
        true
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
