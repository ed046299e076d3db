//! Readers of the journal. A reader keeps nothing but its place: it may stop, fall behind or be dropped,
//! and never holds up the writer.

use std::sync::Arc;

use citywatch_model::{Position, Record};
use tokio::sync::watch;

use super::JournalError;
use super::shared::{Progress, Shared};

/// Reads synced records in order. Needs no runtime but whoever polls it.
pub struct Reader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    after: Position,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, after: Position) -> Reader {
        let progress = shared.subscribe();
        Reader {
            shared,
            progress,
            after,
        }
    }

    /// The position of the last record that was returned, or where the reader started.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }

    /// The next records, at least one and at most [`super::BLOCK_RECORDS`], as soon as they are synced. A
    /// reader that keeps up gets the very records that were written; one that fell behind reads from disk
    /// on the calling thread, some milliseconds at a time. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`JournalError::Closed`] after the last record of a closed journal; otherwise the records cannot be
    /// read, and the reader stays where it is.
    pub async fn next(&mut self) -> Result<Arc<[Record]>, JournalError> {
        loop {
            self.progress.mark_unchanged();
            if let Some(records) = self.try_next()? {
                return Ok(records);
            }
            let Progress { synced, closed, .. } = self.shared.progress();
            if closed && self.after >= synced {
                return Err(JournalError::Closed);
            }
            // the sender lives in what this reader holds, so it cannot be gone
            self.progress
                .changed()
                .await
                .map_err(|_| JournalError::Closed)?;
        }
    }

    /// The next records if there are any now; for taking several blocks in one step.
    ///
    /// # Errors
    /// If the records cannot be read; the reader stays where it is.
    pub fn try_next(&mut self) -> Result<Option<Arc<[Record]>>, JournalError> {
        let records = self.shared.read_after(self.after)?;
        if let Some(last) = records.as_ref().and_then(|records| records.last()) {
            self.after = last.position;
        }
        Ok(records)
    }
}
