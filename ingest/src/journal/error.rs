//! What can go wrong with the journal, in words for people.

use std::path::PathBuf;

use citywatch_model::Position;

/// Why the journal cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another process, or another journal in this one, has the folder open.
    #[error("journal {} is in use: stop the other citywatch or give this one a data folder of its own", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be opened.
    #[error("journal {} cannot be opened: {reason}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What the storage said.
        reason: String,
    },
    /// Its metrics are registered already.
    #[error(
        "journal metrics cannot be registered: {0}: give each journal a metrics registry of its own"
    )]
    Metrics(String),
    /// Free space is below the mark.
    #[error("journal {} takes no records: {free} bytes are free, below the mark of {mark}: free some space or lower the mark", path.display())]
    LowSpace {
        /// The folder.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// The mark in bytes.
        mark: u64,
    },
    /// The records could not be written; the journal reopens itself.
    #[error("journal {} cannot be written: {reason}: send the records again", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the storage said.
        reason: String,
    },
    /// The records themselves cannot be written.
    #[error("the journal cannot hold this record: {reason}")]
    Unwritable {
        /// What is wrong with them.
        reason: String,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// A read from disk failed.
    #[error("the journal cannot be read: {reason}: check the disk")]
    Unreadable {
        /// What the storage said.
        reason: String,
    },
    /// A block on disk is not what was written.
    #[error(
        "the journal is damaged at position {position}: {reason}: restore the data folder from a backup"
    )]
    Damaged {
        /// First position of the block.
        position: Position,
        /// What is wrong.
        reason: String,
    },
    /// The reader wants records that were cut off.
    #[error(
        "journal records after {after} were deleted, the first one left is {first}: start from a newer snapshot"
    )]
    Cut {
        /// Where the reader stood.
        after: Position,
        /// The first position left.
        first: Position,
    },
}

impl JournalError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(
            self,
            JournalError::LowSpace { .. }
                | JournalError::Write { .. }
                | JournalError::Unreadable { .. }
        )
    }
}
