//! Journal -> engine: one thread reads epochs and hands them over, and now and then asks for the engine's state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use citywatch_ingest::{JournalError, Reader};
use citywatch_model::{Position, Record};
use citywatch_rules::Engine;
use tokio::sync::watch;

use super::Facts;
use super::under_way::UnderWay;

pub(super) struct Feed {
    pub(super) engine: Engine,
    pub(super) under_way: UnderWay,
    pub(super) fed: watch::Sender<Position>,
    pub(super) facts: watch::Sender<Arc<Facts>>,
    pub(super) save_every: Duration,
}

impl Feed {
    /// Feeds the engine until the journal is closed.
    pub(super) fn run(self, mut reader: Reader, runtime: &tokio::runtime::Handle) {
        let mut saved = (*self.fed.borrow(), Instant::now());
        loop {
            let epoch = match runtime.block_on(reader.next()) {
                Ok(epoch) => epoch,
                Err(JournalError::Closed) => break,
                Err(error) => {
                    tracing::error!(%error, "the engine cannot read the journal; no alert can be raised until it can");
                    std::thread::sleep(Duration::from_secs(1));
                    continue;
                }
            };
            if let Err(error) = self.submit(&epoch) {
                tracing::error!(%error, "the engine has stopped; restart the service");
                break;
            }
            if saved.1.elapsed() >= self.save_every {
                saved = (self.ask_for_state(saved.0), Instant::now());
            }
        }
        self.ask_for_state(saved.0);
        if let Err(error) = self.engine.close(None) {
            tracing::error!(%error, "the engine did not end in order");
        }
    }

    /// Has the engine's state written, unless nothing was read since position `saved`; what was read by now.
    fn ask_for_state(&self, saved: Position) -> Position {
        let fed = *self.fed.borrow();
        if fed > saved {
            self.under_way.enter(&[]);
            if let Err(error) = self.engine.snapshot() {
                tracing::error!(%error, "the engine has stopped; restart the service");
            }
        }
        fed
    }

    fn submit(&self, epoch: &Arc<[Record]>) -> Result<(), String> {
        let Some(last) = epoch.last().map(|record| record.position) else {
            return Ok(());
        };
        let newer = self.facts.borrow().steps(epoch)?;
        self.under_way.enter(&newer);
        if let Some((_, facts)) = newer.into_iter().next_back() {
            self.facts.send_replace(facts);
        }
        self.engine
            .submit(epoch.clone())
            .map_err(|error| error.to_string())?;
        self.fed.send_replace(last);
        Ok(())
    }
}
