//! What the feed hands over and the alert book takes up again when its epoch comes out of the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citywatch_model::Position;

use super::Facts;

/// Epochs in the engine, and facts that no epoch has reached yet. Shared by the feed and the book.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// when each epoch in the engine was handed over, the oldest first
    epochs: VecDeque<Instant>,
    /// facts in force from a position on
    facts: VecDeque<(Position, Arc<Facts>)>,
}

impl UnderWay {
    /// An epoch goes into the engine, and with it facts that come into force at their positions.
    pub(super) fn enter(&self, facts: &[(Position, Arc<Facts>)]) {
        let mut waiting = self.lock();
        waiting.epochs.push_back(Instant::now());
        waiting.facts.extend(facts.iter().cloned());
    }

    /// The oldest epoch has come out; how long it was inside.
    pub(super) fn leave(&self) -> Option<Duration> {
        Some(self.lock().epochs.pop_front()?.elapsed())
    }

    /// Takes what came into force up to `position`, in order.
    pub(super) fn facts_until(&self, position: Position) -> Vec<(Position, Arc<Facts>)> {
        let mut waiting = self.lock();
        let facts = waiting.facts.iter();
        let due = facts.take_while(|(from, _)| *from <= position).count();
        waiting.facts.drain(..due).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
