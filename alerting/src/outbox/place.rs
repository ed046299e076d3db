//! Who stands where in a lane, and who makes room. Memory only, nothing here sends.
//!
//! When a newer message of the same warning waits behind one that cannot be delivered, that one gets one more attempt
//! and is then cancelled: the newer message refers to it and says what holds now, so what holds now is never kept
//! back by what held before. Likewise a lifting that cannot be delivered makes room for a new warning on the same alert:
//! it is no longer true, and would be read as the end of the new one if it came after it. A withdrawal stays true
//! (there never was that danger), so it is not cancelled: it keeps its place for a polite moment, then lets newer
//! warnings pass and is tried behind them. Nothing else of another warning takes anybody's place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::{Inner, lock};
use crate::ledger::Job;
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

impl Inner {
    pub(super) fn head(&self, key: &LaneKey) -> Option<(Waiting, Arc<Notify>)> {
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
    pub(super) fn step_back(&self, key: &LaneKey, attempts: u32) {
        if let Some(lane) = lock(&self.lanes).get_mut(key)
            && let Some(mut first) = lane.queue.pop_front()
        {
            first.job.attempts = attempts;
            lane.queue.push_back(first);
        }
    }

    pub(super) fn hurry(&self, delivery: i64) {
        let lanes = lock(&self.lanes);
        let waits = |lane: &&Lane| {
            let first = lane.queue.front();
            first.is_some_and(|first| first.job.delivery == delivery)
        };
        if let Some(lane) = lanes.values().find(waits) {
            lane.pushed.notify_one();
        }
    }

    pub(super) fn advance(&self, key: &LaneKey) {
        if let Some(lane) = lock(&self.lanes).get_mut(key) {
            lane.queue.pop_front();
        }
    }

    /// Whether something behind the first in the lane is such that `test` holds.
    pub(super) fn is_behind(&self, key: &LaneKey, test: impl Fn(&Job) -> bool) -> bool {
        let lanes = lock(&self.lanes);
        let mut behind = lanes
            .get(key)
            .into_iter()
            .flat_map(|lane| lane.queue.iter().skip(1));
        behind.any(|waiting| test(&waiting.job))
    }

    /// Why this one is not to be tried again: a newer message of the same warning waits behind it, or it lifts an
    /// earlier warning and the newest that waits says that there is danger again.
    pub(super) fn superseded(&self, key: &LaneKey, job: &Job) -> Option<&'static str> {
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
    pub(super) fn lets_pass(&self, key: &LaneKey, job: &Job) -> bool {
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
}
