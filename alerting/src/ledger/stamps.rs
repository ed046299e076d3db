//! When events were committed, finer than the millisecond that the ledger keeps: for measuring the road.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Commits that are remembered.
const KEPT: usize = 10_000;

/// The newest commits.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// number of the newest event of a commit, and the commit's time in µs since 1970
    commits: Mutex<VecDeque<(i64, i64)>>,
}

impl Stamps {
    /// A commit whose newest event is `event`; one that wrote no event is not remembered.
    pub fn add(&self, event: i64, committed_us: i64) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.back().is_some_and(|(newest, _)| *newest >= event) {
            return;
        }
        if commits.len() == KEPT {
            commits.pop_front();
        }
        commits.push_back((event, committed_us));
    }

    /// When `event` was committed, if that is remembered.
    pub fn of(&self, event: i64) -> Option<i64> {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = commits.front()?.0;
        let index = commits.partition_point(|(newest, _)| *newest < event);
        // the commit before the oldest one that is remembered may have held it
        if event < oldest {
            None
        } else {
            commits.get(index).map(|(_, committed)| *committed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_commit_that_covers_it() {
        let stamps = Stamps::default();
        stamps.add(5, 50);
        stamps.add(9, 90);
        assert_eq!(
            [3, 5, 6, 9, 10].map(|event| stamps.of(event)),
            [None, Some(50), Some(90), Some(90), None]
        );
    }
}
