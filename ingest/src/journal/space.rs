//! Watches the free space under the journal. It only measures and remembers; the writer decides, and so does whoever
//! else writes beside the journal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prometheus::IntGauge;

use super::JournalError;

/// Free space falls slowly compared with the mark, so it need not be asked at every sync.
const INTERVAL: Duration = Duration::from_millis(100);

/// The free space that must stay on the journal's disk, for those who write there what can wait.
#[derive(Debug, Clone)]
pub struct FreeSpace {
    path: PathBuf,
    mark: u64,
}

impl FreeSpace {
    /// `mark` bytes must stay free under `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, mark: u64) -> FreeSpace {
        FreeSpace {
            path: path.into(),
            mark,
        }
    }

    /// Whether the mark is kept after `bytes` more were written. Asks the disk.
    #[must_use]
    pub fn has_room_for(&self, bytes: u64) -> bool {
        free_bytes(&self.path) >= self.mark.saturating_add(bytes)
    }
}

fn free_bytes(path: &Path) -> u64 {
    match rustix::fs::statvfs(path) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            // a folder that cannot be asked is judged by the write itself
            tracing::debug!(path = %path.display(), %error, "free space is unknown");
            u64::MAX
        }
    }
}

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
        self.free = free_bytes(&self.path);
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
