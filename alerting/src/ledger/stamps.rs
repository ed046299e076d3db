//! When events were committed, finer than the millisecond that the ledger keeps: for measuring the road.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Commits that are remembered.
const KEPT: usize = 10_000;

/// The newest commits.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    commits: Mutex<VecDeque<Commit>>,
}

#[derive(Debug, Clone, Copy)]
struct Commit {
    /// Numbers of its first and last event.
    events: (i64, i64),
    /// Microseconds since 1970.
    at: i64,
}

impl Stamps {
    /// A commit that wrote the events from `first` to `last`; one that wrote none is not remembered.
    pub fn add(&self, first: i64, last: i64, at: i64) {
        if last < first {
            return;
        }
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.len() == KEPT {
            commits.pop_front();
        }
        let events = (first, last);
        commits.push_back(Commit { events, at });
    }

    /// When `event` was committed, if that is remembered.
    pub fn of(&self, event: i64) -> Option<i64> {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let index = commits.partition_point(|commit| commit.events.1 < event);
        let commit = commits.get(index)?;
        (commit.events.0 <= event).then_some(commit.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_commit_that_wrote_it() {
        let stamps = Stamps::default();
        stamps.add(1, 5, 50);
        stamps.add(6, 5, 60);
        stamps.add(6, 9, 90);
        let found = [0, 1, 5, 6, 9, 10].map(|event| stamps.of(event));
        assert_eq!(found, [None, Some(50), Some(50), Some(90), Some(90), None]);
    }
}
