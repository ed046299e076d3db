//! What the history keeps under given keys, for whoever copies it elsewhere.

use citywatch_model::{Name, Position, Time};

use super::{History, HistoryError, StoredReading};

impl History {
    /// The reading that is kept of each (sensor, measurement, event time), the first that came; `None` in its place
    /// if there is none, and `None` for all while the history is not as far as `position`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn kept(
        &self,
        keys: impl Iterator<Item = (Name, Name, Time)>,
        position: Position,
    ) -> Result<Option<Vec<Option<StoredReading>>>, HistoryError> {
        let inner = &*self.inner;
        let index = inner.index.read();
        // a broken index is ahead of the disk until it was read anew
        if index.broken || index.meta.cursor < position {
            return Ok(None);
        }
        let kept = inner.with_store(|store| {
            let look = |(sensor, measurement, time): (Name, Name, Time)| {
                let Some(series) = index.series(sensor, measurement) else {
                    return Ok(None);
                };
                let row = store.row(series, time)?;
                Ok(row.map(|row| index.reading(measurement, time, &row)))
            };
            keys.map(look).collect()
        });
        kept.map(Some)
    }
}
