//! Engine -> alert book: transitions are explained by the facts at their positions and written in order, with the
//! journal position, in one transaction an epoch.

use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::ledger::{Change, Epoch as LedgerEpoch};
use citywatch_alerting::{Ledger, LedgerError};
use citywatch_model::Position;
use citywatch_rules::{Epoch, Snapshot};
use tokio::sync::{mpsc, watch};

use super::Facts;
use super::standing::Standing;
use super::under_way::UnderWay;

/// Transitions that one ledger transaction takes at most, when epochs have piled up.
const GATHERED_TRANSITIONS: usize = 512;

pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) under_way: UnderWay,
    pub(super) booked: watch::Sender<Position>,
    /// takes states of the engine whose positions the ledger has committed
    pub(super) saves: std::sync::mpsc::Sender<(Arc<Facts>, Snapshot)>,
    /// of an engine that was built anew from the journal, until it has come to where the ledger stands
    pub(super) standing: Option<Standing>,
}

impl Book {
    /// Books epochs in order, several in one transaction when they have piled up.
    pub(super) async fn keep(mut self, mut inbox: mpsc::Receiver<Epoch>, mut facts: Arc<Facts>) {
        while let Some(first) = inbox.recv().await {
            let mut gathered = gather(first, &mut inbox);
            let snapshot = gathered.snapshot.take();
            let newer = self.under_way.facts_until(gathered.position);
            if let Some(standing) = &mut self.standing {
                standing.follow(&gathered.transitions);
            }
            let position = gathered.position;
            let pieces = explained(gathered, &mut facts, newer);
            if let Some(standing) = self
                .standing
                .take_if(|standing| standing.is_whole_at(position))
            {
                self.agree(standing, &facts).await;
            }
            for piece in pieces {
                self.write(piece).await;
            }
            if let Some(snapshot) = snapshot {
                self.save(snapshot, &facts).await;
            }
        }
        if let Err(error) = self.ledger.flush_position().await {
            tracing::warn!(%error, "the ledger's position was not written; the next start reads a little more of the journal");
        }
    }

    /// Has a state of the engine saved, with the ledger's position on disk first: a state that is ahead of it after a
    /// crash would serve no start.
    async fn save(&self, snapshot: Snapshot, facts: &Arc<Facts>) {
        if let Err(error) = self.ledger.flush_position().await {
            tracing::warn!(%error, "the ledger's position cannot be written; the engine's state is not saved this time");
        } else if self.saves.send((Arc::clone(facts), snapshot)).is_err() {
            tracing::error!(
                "nobody saves the engine's state any more; the next start reads the journal from an older one"
            );
        }
    }

    async fn write(&self, epoch: LedgerEpoch) {
        let position = epoch.position;
        until_written(position, || self.ledger.apply(epoch.clone())).await;
        self.booked.send_replace(position);
    }

    /// The engine was built anew: where it sees other levels than the ledger has, the ledger follows.
    async fn agree(&self, standing: Standing, facts: &Facts) {
        let position = self.ledger.position();
        let levels = standing.levels().into_iter();
        let standing: Vec<Change> = levels.map(|level| facts.explain(level)).collect();
        let changed = until_written(position, || self.ledger.agree(&standing)).await;
        for alert in changed {
            tracing::error!(
                alert = alert.id,
                rule = %alert.rule,
                subject = %alert.subject,
                condition = ?alert.condition,
                "the engine was built anew from the journal and sees this alert otherwise than the ledger had it; look at it"
            );
        }
    }
}

/// A failing ledger is tried again until it works: an alert is never skipped.
async fn until_written<T, F>(position: Position, write: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let mut wait = Duration::from_millis(100);
    loop {
        match write().await {
            Ok(written) => return written,
            Err(error) => {
                tracing::error!(%error, position, "the alert book cannot be written; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
}

/// What an epoch means by the facts at each of its positions; it is cut where rules leave their shadow, because that
/// belongs into one transaction with the position.
fn explained(
    epoch: Epoch,
    facts: &mut Arc<Facts>,
    newer: Vec<(Position, Arc<Facts>)>,
) -> Vec<LedgerEpoch> {
    let mut pieces = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    let mut transitions = epoch.transitions.into_iter().peekable();
    for (from, newer) in newer {
        while let Some(earlier) = transitions.next_if(|transition| transition.position <= from) {
            changes.push(facts.explain(earlier));
        }
        let lit = newer.lit(facts);
        *facts = newer;
        if !lit.is_empty() {
            pieces.push(LedgerEpoch {
                position: from,
                clock: epoch.clock,
                changes: std::mem::take(&mut changes),
                lit,
            });
        }
    }
    changes.extend(transitions.map(|transition| facts.explain(transition)));
    pieces.push(LedgerEpoch {
        position: epoch.position,
        clock: epoch.clock,
        changes,
        lit: Vec::new(),
    });
    pieces
}

fn gather(mut gathered: Epoch, inbox: &mut mpsc::Receiver<Epoch>) -> Epoch {
    // what was in force at a snapshot is known only at its own position
    while gathered.transitions.len() < GATHERED_TRANSITIONS && gathered.snapshot.is_none() {
        let Ok(next) = inbox.try_recv() else { break };
        gathered.snapshot = next.snapshot;
        gathered.position = next.position;
        gathered.clock = next.clock;
        gathered.transitions.extend(next.transitions);
    }
    gathered
}
