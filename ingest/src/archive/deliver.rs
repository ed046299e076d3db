//! Points -> archive: tries for ever while nobody takes them, and halves a batch that is refused until it is known
//! which points are the matter.

use std::collections::VecDeque;
use std::time::Instant;

use super::Inner;
use super::backoff::Backoff;
use super::client::{Client, WriteError};
use super::point::Point;
use super::store::RefusedPoint;

/// Everything was refused, and nothing shows that it is for the points' sake.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusesAll {
    pub reason: String,
}

/// What became of the parts of a delivery so far.
#[derive(Default)]
struct Sorted {
    refused: Vec<RefusedPoint>,
    /// The archive took a point, or said that it had read those that it refused.
    understood: bool,
    reason: String,
}

impl Inner {
    /// Writes all of `points`, which are in order; answers those that were set aside.
    pub(super) async fn deliver(
        &self,
        client: &Client,
        points: &[Point],
    ) -> Result<Vec<RefusedPoint>, RefusesAll> {
        let now = self.now();
        let (fine, mut refused) = writable(points, |point, reason| {
            RefusedPoint::new(point, now, reason)
        });
        let mut sorted = Sorted::default();
        // the larger parts first: what is fine is in the archive before the search for what is not
        let mut parts: VecDeque<&[Point]> = fine.chunks(self.config.batch_points.max(1)).collect();
        while let Some(part) = parts.pop_front() {
            let started = Instant::now();
            match self.send(client, part).await {
                Ok(()) => {
                    sorted.understood = true;
                    self.pace(part.len(), started).await;
                }
                Err(refusal) => sorted.refuse(part, &refusal, &mut parts, self),
            }
        }
        if !sorted.understood && !sorted.refused.is_empty() {
            return Err(RefusesAll {
                reason: sorted.reason,
            });
        }
        refused.append(&mut sorted.refused);
        Ok(refused)
    }

    /// One part, until the archive has taken or refused it.
    async fn send(&self, client: &Client, part: &[Point]) -> Result<(), Refusal> {
        let mut backoff = Backoff::new(self.config.first_wait, self.config.longest_wait);
        loop {
            let started = Instant::now();
            let written = client.write(part).await;
            match written {
                Err(WriteError::Unavailable { reason, kind }) => {
                    self.fail(&reason, kind);
                    tokio::time::sleep(backoff.wait(fastrand::f64())).await;
                    continue;
                }
                Err(WriteError::Refused { reason, named }) => {
                    self.observe_write(started);
                    return Err(Refusal { reason, named });
                }
                Ok(()) => {
                    self.observe_write(started);
                    self.metrics.written.inc_by(part.len() as u64);
                    self.state.lock().written += part.len() as u64;
                    self.recover();
                    return Ok(());
                }
            }
        }
    }

    fn observe_write(&self, started: Instant) {
        let taken = started.elapsed().as_secs_f64();
        self.metrics.write_seconds.observe(taken);
    }

    /// Waits until `points` in this time are not more than the limit allows.
    async fn pace(&self, points: usize, started: Instant) {
        let least = points as f64 / f64::from(self.config.points_per_second.max(1));
        let least = std::time::Duration::from_secs_f64(least);
        tokio::time::sleep(least.saturating_sub(started.elapsed())).await;
    }

    /// Counts and shows a failure; logs it if it says anything new.
    pub(super) fn fail(&self, reason: &str, kind: &'static str) {
        self.metrics.failures.with_label_values(&[kind]).inc();
        let news = self.state.lock().fail(self.now(), reason);
        match (news, kind) {
            (false, _) => {}
            (true, "network" | "busy" | "server") => {
                tracing::warn!(%reason, "the archive cannot be written; trying again for ever, nothing is lost");
            }
            (true, _) => {
                tracing::error!(%reason, "the archive cannot be written and this does not end by itself; nothing is lost");
            }
        }
    }
}

impl Inner {
    /// Notes that nothing is in the way any more.
    pub(super) fn recover(&self) {
        if let Some(since) = self.state.lock().recover() {
            tracing::info!(%since, "the archive is written again");
        }
    }
}

struct Refusal {
    reason: String,
    named: bool,
}

impl Sorted {
    fn refuse<'p>(
        &mut self,
        part: &'p [Point],
        refusal: &Refusal,
        parts: &mut VecDeque<&'p [Point]>,
        inner: &Inner,
    ) {
        if let [point] = part {
            self.understood |= refusal.named;
            self.reason.clone_from(&refusal.reason);
            let refused = RefusedPoint::new(point, inner.now(), &refusal.reason);
            self.refused.push(refused);
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([first, second]);
        }
    }
}

/// The points that a line can carry, and the others.
fn writable(
    points: &[Point],
    refuse: impl Fn(&Point, &str) -> RefusedPoint,
) -> (Vec<Point>, Vec<RefusedPoint>) {
    let mut fine = Vec::with_capacity(points.len());
    let mut refused = Vec::new();
    for point in points {
        match point.unwritable() {
            None => fine.push(*point),
            Some(reason) => refused.push(refuse(point, &reason)),
        }
    }
    (fine, refused)
}
