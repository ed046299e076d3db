//! One lane: the deliveries of one alert to one address by one channel, one after the other. What is not Actual has
//! lanes of its own, so that a warning never waits behind a drill. Who makes room for whom is `place`'s affair.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::place::{LaneKey, Waiting};
use super::{Host, Inner, Served};
use crate::channel::{Endpoint, SendFailure, Sent};
use crate::ledger::{Job, Outcome, Report};
use crate::settings::wall_clock;

/// What an attempt came to, and how long to wait before the next.
struct Tried {
    report: Report,
    /// The wait that the other side asks for.
    after: Option<Duration>,
}

impl Tried {
    fn worked(&self) -> bool {
        matches!(self.report.outcome, Outcome::Accepted | Outcome::Delivered)
    }
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
    /// Tries until it is finished, makes room, or the outbox stops.
    async fn deliver(&self, waiting: &Waiting, key: &LaneKey, pushed: &Notify) -> Turn {
        let job = &waiting.job;
        let mut attempts = job.attempts;
        let failing = || self.ledger.shared.metrics.failing(&job.channel);
        let mut failed = (attempts > 0).then(failing);
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
            let host = self.host(&endpoint, channel.channel.concurrent());
            let permits = tokio::select! {
                permits = permits(&host, channel) => permits,
                () = self.stopping.cancelled() => return Turn::Stopped,
            };
            // the permits may have taken long
            let endpoint = match self.way(job, attempts) {
                Ok((endpoint, _)) => endpoint,
                Err(why) => return self.finish(decision(job, attempts, Outcome::GaveUp, why)),
            };
            if !self.ledger.shared.flight.start(job.delivery).await {
                return self.forget(job);
            }
            attempts += 1;
            let tried = self.attempt(waiting, attempts, endpoint, channel).await;
            drop(permits);
            if tried.worked() {
                host.took.notify_waiters();
            }
            if tried.report.outcome.is_final() {
                return self.finish(tried.report);
            }
            if failed.is_none() {
                failed = Some(failing());
                tell_failure(job, &tried.report.detail);
            }
            self.report(tried.report);
            if let Some(newer) = self.superseded(key, job) {
                let why = format!("{newer} took its place after {attempts} attempts");
                return self.finish(decision(job, attempts, Outcome::Superseded, why));
            }
            if self.lets_pass(key, job) {
                return Turn::Later { attempts };
            }
            // the other side may lengthen our own wait, not shorten it
            let own = self.config.wait(attempts, fastrand::f64());
            let asked_for = tried.after.filter(|after| *after > own);
            let wait = (asked_for.unwrap_or(own), asked_for.is_some());
            let pause = self.pause((job, pushed, &host), key, wait);
            if !pause.await {
                return Turn::Stopped;
            }
        }
    }

    /// Waits before the next attempt, less long when something waits behind: until that comes if the wait is our own,
    /// and politely if the other side asked for it, unless the message was withdrawn. A host that takes something else
    /// meanwhile shortens a wait of our own. `false` if the outbox stops.
    async fn pause(
        &self,
        (job, pushed, host): (&Job, &Notify, &Host),
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
                () = host.took.notified(), if !asked_for => wait = wait.min(self.config.soon),
                () = self.stopping.cancelled() => return false,
            }
        }
    }

    /// Where to and by which channel; an error if there is no sense in a further attempt.
    fn way(&self, job: &Job, attempts: u32) -> Result<(Endpoint, &Served), String> {
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

    async fn attempt(
        &self,
        waiting: &Waiting,
        number: u32,
        endpoint: Endpoint,
        channel: &Served,
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

/// The host's permit first: whoever waits for a slow host holds no place of the channel.
async fn permits(host: &Host, channel: &Served) -> [Option<OwnedSemaphorePermit>; 2] {
    let acquire = |limit: &Arc<Semaphore>| {
        let limit = Arc::clone(limit);
        async move { limit.acquire_owned().await.ok() }
    };
    [acquire(&host.limit).await, acquire(&channel.limit).await]
}

/// Once for each delivery: the list of deliveries tells the rest.
fn tell_failure(job: &Job, detail: &str) {
    tracing::warn!(
        delivery = job.delivery,
        alert = job.alert,
        channel = job.channel,
        department = %job.recipient.department,
        detail,
        "a message did not go out; it is tried again until its warning expires"
    );
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
