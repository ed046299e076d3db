//! Several sets of rules over one pass of the readings. Each lane is an engine of its own, so that no set can
//! disturb another; the readings are read once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use citywatch_model::{Observation, Registry, Transition};
use citywatch_rules::ast::RuleSet;
use citywatch_rules::{EngineError, Setup, Summary};

/// Observations that go to the lanes in one piece.
const PIECE: usize = 8_192;
/// Pieces that wait for a busy lane before reading pauses.
const QUEUE: usize = 4;

/// Takes the transitions of a lane, in order.
pub type Out<'a> = Box<dyn FnMut(&Transition) + Send + 'a>;

/// One set of rules and what becomes of its transitions.
pub struct Lane<'a> {
    pub rules: Arc<RuleSet>,
    pub out: Out<'a>,
}

/// What all lanes share.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub registry: &'a Registry,
    pub workers: usize,
    /// Readings an epoch.
    pub epoch: usize,
}

type Piece = Arc<Vec<Observation>>;

impl Lane<'_> {
    fn replay(
        self,
        source: impl Iterator<Item = Observation>,
        shared: Shared<'_>,
    ) -> Result<Summary, EngineError> {
        let setup = Setup {
            rules: self.rules,
            registry: shared.registry.clone(),
            workers: shared.workers,
            epoch: shared.epoch,
        };
        citywatch_rules::backtest(source, setup, self.out)
    }
}

/// Replays `source` through `first` and all `others`; answers the summary of `first`.
pub fn replay(
    source: impl Iterator<Item = Observation>,
    first: Lane<'_>,
    others: Vec<Lane<'_>>,
    shared: Shared<'_>,
) -> Result<Summary, EngineError> {
    if others.is_empty() {
        return first.replay(source, shared);
    }
    std::thread::scope(|scope| {
        let lanes = std::iter::once(first).chain(others);
        let (queues, lanes): (Vec<_>, Vec<_>) = lanes
            .map(|lane| {
                let (queue, pieces) = sync_channel::<Piece>(QUEUE);
                let source = pieces.into_iter().flat_map(Arc::unwrap_or_clone);
                (queue, scope.spawn(move || lane.replay(source, shared)))
            })
            .unzip();
        deal(source, &queues);
        // a lane ends when its queue does
        drop(queues);
        let mut summaries = Vec::with_capacity(lanes.len());
        for lane in lanes {
            summaries.push(lane.join().map_err(|_| EngineError::Stopped)??);
        }
        Ok(summaries.swap_remove(0))
    })
}

/// Hands every piece to every lane, until the readings end or a lane does.
fn deal(source: impl Iterator<Item = Observation>, queues: &[SyncSender<Piece>]) {
    let send = |piece: Vec<Observation>| {
        let piece = Arc::new(piece);
        let sent = queues
            .iter()
            .try_for_each(|queue| queue.send(piece.clone()));
        // a lane that is gone says itself why
        sent.map_or(ControlFlow::Break(()), ControlFlow::Continue)
    };
    let mut piece = Vec::with_capacity(PIECE);
    for observation in source {
        piece.push(observation);
        if piece.len() == PIECE {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            if send(full).is_break() {
                return;
            }
        }
    }
    if send(piece).is_break() {
        tracing::debug!("a lane of the backtest ended before the readings did");
    }
}
