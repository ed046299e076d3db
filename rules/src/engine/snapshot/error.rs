//! Why a snapshot is refused. None of it loses anything: the journal holds what the state was made of.

use super::codec::Damaged;
use crate::parallel::EngineError;
use crate::problem::Problems;

/// Why an engine cannot go on from a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not begin like one.
    #[error("this is no snapshot of engine state; {REBUILD}")]
    Foreign,
    /// It ends too early.
    #[error("the snapshot is cut off; {REBUILD}")]
    Cut,
    /// Another program wrote it.
    #[error("the snapshot has layout {found} and this program reads {known}; {REBUILD}")]
    Version {
        /// Version of the layout that was found.
        found: u32,
        /// The one that can be read.
        known: u32,
    },
    /// State means something else by now.
    #[error(
        "the snapshot was made by rules of computation {found} and this program has {known}; {REBUILD}"
    )]
    Meaning {
        /// Version of the meaning that was found.
        found: u32,
        /// The one that is known.
        known: u32,
    },
    /// Bytes changed after it was written.
    #[error("the snapshot is damaged: its checksum does not match; {REBUILD}")]
    Checksum,
    /// The checksum holds, but the state cannot be.
    #[error("the snapshot is damaged: {what}; {REBUILD}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The rules in it are no rules of this program.
    #[error("the rules in the snapshot are not valid any more; {REBUILD}:\n{problems}")]
    Rules {
        /// Every mistake.
        problems: Problems,
    },
    /// The state is sound, but nobody can go on with it.
    #[error(transparent)]
    Start(#[from] EngineError),
}

/// The way out, the same for all of them.
const REBUILD: &str = "start without it: the state is rebuilt from the journal";

impl SnapshotError {
    /// Whether the snapshot is to blame, so that starting without it helps.
    #[must_use]
    pub fn is_rebuilt_from_journal(&self) -> bool {
        !matches!(self, SnapshotError::Start(_))
    }
}

impl From<Damaged> for SnapshotError {
    fn from(Damaged(what): Damaged) -> SnapshotError {
        SnapshotError::Damaged { what }
    }
}
