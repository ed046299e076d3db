//! Keeps the history at the journal's heels: takes what is there, applies it in one step, pauses a little.

use std::sync::Arc;
use std::time::Duration;

use citywatch_model::Record;

use super::{History, HistoryError};
use crate::journal::{BLOCK_RECORDS, Journal, JournalError, Reader};

/// Between two steps, so that a step is worth its write; charts are that much behind.
const PAUSE: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_secs(1);

impl History {
    /// Applies the journal until it is closed and read to its end. Needs a tokio runtime with timers; the
    /// blocking part runs on its blocking threads. A write error is tried again for ever.
    ///
    /// # Errors
    /// If the journal is damaged where the history stands.
    pub async fn follow(&self, journal: &Journal) -> Result<(), HistoryError> {
        self.align(journal);
        let mut reader = journal.reader(self.cursor());
        let shown = self.inner.metrics.lag.clone();
        loop {
            let blocks = match reader.next().await {
                Ok(first) => gather(first, &mut reader),
                Err(JournalError::Closed) => return Ok(()),
                Err(JournalError::Cut { after, first }) => {
                    tracing::error!(
                        after,
                        first,
                        "the history misses journal records that were deleted before it read them"
                    );
                    reader = journal.reader(first.saturating_sub(1));
                    continue;
                }
                Err(error) if error.may_retry() => {
                    tracing::warn!(%error, "the history waits for the journal");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Err(reason) = self.apply_blocks(blocks).await {
                tracing::error!(%reason, "the history cannot be written; charts stand still until it can");
                self.mend().await;
                // what the disk has may end before what was applied
                reader = journal.reader(self.cursor());
                continue;
            }
            let lag = journal.last().saturating_sub(self.cursor());
            shown.set(i64::try_from(lag).unwrap_or(i64::MAX));
            if lag < BLOCK_RECORDS as u64 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// A cursor beyond the journal's end belongs to another journal: then this one is read from its start.
    /// Readings that are there already stay, so nothing is counted twice.
    fn align(&self, journal: &Journal) {
        let mut index = self.inner.index.write();
        if index.meta.cursor > journal.last() {
            tracing::warn!(
                cursor = index.meta.cursor,
                last = journal.last(),
                "the history was built from another journal; this one is added from its start"
            );
            index.meta.cursor = journal.first().saturating_sub(1);
        }
    }

    async fn apply_blocks(&self, blocks: Vec<Arc<[Record]>>) -> Result<(), String> {
        let history = self.clone();
        let step = move || history.apply_all(blocks.iter().flat_map(|block| block.iter()));
        match tokio::task::spawn_blocking(step).await {
            Ok(applied) => applied.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Opens the folder anew, as often as it takes.
    async fn mend(&self) {
        loop {
            tokio::time::sleep(RETRY).await;
            let history = self.clone();
            let opened = tokio::task::spawn_blocking(move || history.reopen_if_broken()).await;
            match opened
                .map_err(|error| error.to_string())
                .and_then(|opened| opened.map_err(|error| error.to_string()))
            {
                Ok(()) => break,
                Err(reason) => {
                    tracing::warn!(%reason, retry_in = ?RETRY, "the history stays closed")
                }
            }
        }
        tracing::info!("the history is open again");
    }
}

/// `first` and what is there behind it, up to one full block.
fn gather(first: Arc<[Record]>, reader: &mut Reader) -> Vec<Arc<[Record]>> {
    let mut records = first.len();
    let mut blocks = vec![first];
    while records < BLOCK_RECORDS {
        // an error waits: what was read is applied first, and the next read meets it again
        let Ok(Some(block)) = reader.try_next() else {
            break;
        };
        records += block.len();
        blocks.push(block);
    }
    blocks
}
