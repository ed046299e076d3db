//! What the running archive knows of itself, and how people see it. No I/O.

use citywatch_model::{Duration, Position, Time};

use super::store::Mark;

/// The newest failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub time: Time,
    /// What went wrong and what to look at.
    pub reason: String,
}

/// How far the archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Position up to which everything is archived or set aside.
    pub position: Position,
    /// Records behind the journal's end, ticks of the clock included.
    pub behind_records: u64,
    /// The service's time between what is archived and the journal's end.
    pub behind: Duration,
    /// Points written since the start; a point written again counts again.
    pub written: u64,
    /// Points set aside since the archive's folder was made.
    pub refused: u64,
    /// Since when nothing could be written; `None` while all is well.
    pub waiting_since: Option<Time>,
    /// The newest failure since the start, also if it is over.
    pub last_error: Option<Failure>,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub mark: Mark,
    pub written: u64,
    pub refused: u64,
    pub waiting_since: Option<Time>,
    pub last_error: Option<Failure>,
}

impl State {
    pub(super) fn new(mark: Mark, refused: u64) -> State {
        State {
            mark,
            written: 0,
            refused,
            waiting_since: None,
            last_error: None,
        }
    }

    /// Notes a failure; true if it says anything new.
    pub(super) fn fail(&mut self, time: Time, reason: &str) -> bool {
        let news = self.waiting_since.is_none()
            || self
                .last_error
                .as_ref()
                .is_none_or(|last| last.reason != reason);
        self.waiting_since.get_or_insert(time);
        self.last_error = Some(Failure {
            time,
            reason: reason.to_owned(),
        });
        news
    }

    /// Notes that it works; answers since when it did not.
    pub(super) fn recover(&mut self) -> Option<Time> {
        self.waiting_since.take()
    }

    /// As seen from the journal's end.
    pub(super) fn status(self, last: Position, clock: Time) -> ArchiveStatus {
        let behind_records = last.saturating_sub(self.mark.position);
        let behind = if behind_records == 0 {
            Duration::ZERO
        } else {
            clock.since(self.mark.clock).max(Duration::ZERO)
        };
        ArchiveStatus {
            position: self.mark.position,
            behind_records,
            behind,
            written: self.written,
            refused: self.refused,
            waiting_since: self.waiting_since,
            last_error: self.last_error,
        }
    }
}
