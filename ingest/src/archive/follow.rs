//! Journal -> points: reads what is synced, asks the history what it keeps of it, has it delivered, and moves the
//! cursor. One portion after the other, each as large as one batch or one block of the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use citywatch_model::{Position, Record, Time};
use tokio::time::timeout_at;

use super::Inner;
use super::backoff::Backoff;
use super::client::Client;
use super::deliver::RefusesAll;
use super::point::{self, Point};
use super::store::{Mark, RefusedPoint};
use crate::StoredReading;
use crate::journal::{Journal, JournalError, Reader};

/// Between two looks at a history that is not as far as the journal.
const LOOK: Duration = Duration::from_millis(20);
/// A history that needs longer than this is told as a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// A cursor that only ticks have moved is written this often.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Keys looked up at a time, so that whoever writes the history comes between.
const KEYS: usize = 500;

/// What was read and is not archived yet.
struct Portion {
    points: Vec<Point>,
    mark: Mark,
}

impl Portion {
    fn add(&mut self, records: &[Record]) {
        self.points.extend(point::points(records));
        if let Some(last) = records.last() {
            self.mark = Mark {
                position: last.position,
                clock: last.clock,
            };
        }
    }
}

/// Where to go on: behind `mark`, if it is a place in this journal.
pub(super) fn resume(mark: Option<Mark>, journal: &Journal) -> Mark {
    let start = journal.first().saturating_sub(1);
    let clock_at = |position: Position| {
        let records = journal.reader(position.saturating_sub(1)).try_next();
        let records = records.ok().flatten();
        records.and_then(|records| records.first().map(|record| record.clock))
    };
    match mark {
        Some(mark) if mark.position <= start => return mark,
        Some(mark) if clock_at(mark.position) == Some(mark.clock) => return mark,
        Some(mark) => tracing::warn!(
            cursor = mark.position,
            last = journal.last(),
            "the archive was written from another journal; this one is added from its start"
        ),
        None => {}
    }
    Mark {
        position: start,
        clock: clock_at(start + 1).unwrap_or(Time::MIN),
    }
}

/// Archives until the journal is closed and read to its end, or the archive is stopped.
pub(super) async fn follow(inner: &Inner, client: &Client) {
    let mut stop = inner.stop.subscribe();
    tokio::select! {
        () = inner.follow(client) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

impl Inner {
    async fn follow(&self, client: &Client) {
        let mark = self.state.lock().mark;
        let mut reader = self.sources.journal.reader(mark.position);
        let mut portion = Portion {
            points: Vec::new(),
            mark,
        };
        let mut backoff = Backoff::new(self.config.first_wait, self.config.longest_wait);
        let mut kept = Instant::now();
        loop {
            // what was refused as a whole waits for company: a point that is taken shows that it is not the address
            if portion.points.len() < self.config.batch_points
                && !self.gather(&mut reader, &mut portion).await
            {
                return;
            }
            self.settle(&mut portion).await;
            let refused = match self.deliver(client, &portion.points).await {
                Ok(refused) => refused,
                Err(RefusesAll { reason }) => {
                    let reason = format!(
                        "it refuses every point, so none is set aside: {reason}; check url, org and bucket"
                    );
                    self.fail(&reason, "refuses_all");
                    tokio::time::sleep(backoff.wait(fastrand::f64())).await;
                    continue;
                }
            };
            backoff.reset();
            if !portion.points.is_empty() || kept.elapsed() >= KEEP_EVERY {
                self.keep(portion.mark, &refused).await;
                kept = Instant::now();
            }
            portion.points.clear();
            self.state.lock().mark = portion.mark;
            self.recover();
        }
    }

    /// Adds records until there is a batch of points, or the time for one is over; false at the journal's end. Waits
    /// for a first record only if the portion has no points.
    async fn gather(&self, reader: &mut Reader, portion: &mut Portion) -> bool {
        if portion.points.is_empty() {
            match self.first(reader).await {
                Some(records) => portion.add(&records),
                None => return false,
            }
        }
        let deadline = tokio::time::Instant::now() + self.config.flush_every;
        while portion.points.len() < self.config.batch_points {
            match timeout_at(deadline, reader.next()).await {
                Ok(Ok(records)) => portion.add(&records),
                // an error is met again by the next portion
                Ok(Err(_)) | Err(_) => break,
            }
        }
        true
    }

    /// The next records, as long as it takes; `None` at the journal's end.
    async fn first(&self, reader: &mut Reader) -> Option<Arc<[Record]>> {
        loop {
            match reader.next().await {
                Ok(records) => return Some(records),
                Err(JournalError::Closed) => return None,
                Err(JournalError::Cut { after, first }) => {
                    tracing::error!(
                        after,
                        first,
                        "the archive misses journal records that were deleted before it read them"
                    );
                    *reader = self.sources.journal.reader(first.saturating_sub(1));
                }
                Err(error) => {
                    self.fail(&format!("the journal cannot be read: {error}"), "internal");
                    tokio::time::sleep(self.config.longest_wait).await;
                }
            }
        }
    }

    /// Puts in the place of each point what the history keeps under its key.
    async fn settle(&self, portion: &mut Portion) {
        let history = &self.sources.history;
        let started = Instant::now();
        point::in_order(&mut portion.points);
        for points in portion.points.chunks_mut(KEYS) {
            let kept = loop {
                if let Some(kept) = self.kept(points, portion.mark.position) {
                    break kept;
                }
                if started.elapsed() >= PATIENCE {
                    let reason = format!(
                        "it waits for the history, which is at position {} of {}",
                        history.cursor(),
                        portion.mark.position
                    );
                    self.fail(&reason, "internal");
                    tokio::time::sleep(self.config.first_wait).await;
                }
                tokio::time::sleep(LOOK).await;
            };
            for (point, kept) in points.iter_mut().zip(kept) {
                // a row that is gone was lost with the history's disk; the journal's own value is the best there is
                if let Some(kept) = kept {
                    point.keep(&kept);
                }
            }
        }
    }

    /// What the history keeps of `points`; `None` if it is not yet as far as `position`, or cannot be read.
    fn kept(&self, points: &[Point], position: Position) -> Option<Vec<Option<StoredReading>>> {
        let keys = points.iter().map(Point::key);
        match self.sources.history.kept(keys, position) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::debug!(%error, "the archive waits for the history");
                None
            }
        }
    }

    /// Moves the cursor on disk, as often as it takes.
    async fn keep(&self, mark: Mark, refused: &[RefusedPoint]) {
        let mut backoff = Backoff::new(self.config.first_wait, self.config.longest_wait);
        while let Err(reason) = self.commit(mark, refused) {
            let reason = format!("its cursor cannot be written: {reason}; check the disk");
            self.fail(&reason, "internal");
            tokio::time::sleep(backoff.wait(fastrand::f64())).await;
        }
        if let Some(first) = refused.first() {
            self.metrics.refused.inc_by(refused.len() as u64);
            tracing::error!(
                points = refused.len(),
                sensor = first.sensor,
                reason = first.reason,
                "the archive refused points; they are set aside, see /api/v1/archive/refused"
            );
        }
    }

    fn commit(&self, mark: Mark, refused: &[RefusedPoint]) -> Result<(), String> {
        let mut store = self.store.lock();
        store.commit(&self.config.target(), mark, refused)?;
        self.state.lock().refused = store.refused_in_all();
        Ok(())
    }
}
