//! Watches the free space under the journal. It only measures and remembers; the writer decides.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prometheus::IntGauge;

use super::JournalError;

/// Free space falls slowly compared with the mark, so it need not be asked at every sync.
const INTERVAL: Duration = Duration::from_millis(100);

/// Refuses appends while free space lies below a mark.
pub(super) struct SpaceWatch {
    path: PathBuf,
    mark: u64,
    free: u64,
    asked: Option<Instant>,
    low: bool,
    gauge: IntGauge,
}

impl SpaceWatch {
    pub(super) fn new(path: &Path, mark: u64, gauge: IntGauge) -> SpaceWatch {
        SpaceWatch {
            path: path.to_owned(),
            mark,
            free: u64::MAX,
            asked: None,
            low: false,
            gauge,
        }
    }

    /// Whether there is room to write. Logs once when that changes.
    pub(super) fn check(&mut self) -> Result<(), JournalError> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= INTERVAL) {
            self.measure();
        }
        if self.low {
            return Err(JournalError::LowSpace {
                path: self.path.clone(),
                free: self.free,
                mark: self.mark,
            });
        }
        Ok(())
    }

    fn measure(&mut self) {
        self.asked = Some(Instant::now());
        self.free = match rustix::fs::statvfs(&self.path) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                // a folder that cannot be asked is judged by the write itself
                tracing::debug!(path = %self.path.display(), %error, "free space is unknown");
                u64::MAX
            }
        };
        self.gauge.set(i64::try_from(self.free).unwrap_or(i64::MAX));
        let low = self.free < self.mark;
        if low && !self.low {
            tracing::error!(
                path = %self.path.display(), free_bytes = self.free, mark_bytes = self.mark,
                "readings are refused: free space is below the mark; free some space or lower the mark"
            );
        } else if self.low && !low {
            tracing::info!(path = %self.path.display(), free_bytes = self.free, "readings are taken again");
        }
        self.low = low;
    }
}
