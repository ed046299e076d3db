//! What can go wrong with the history, in words for people.

use std::path::PathBuf;

/// Why the history cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Somebody has the folder open.
    #[error("history {} is in use: stop the other citywatch or give this one a data folder of its own", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be opened.
    #[error("history {} cannot be opened: {reason}: delete the folder to have it built again from the journal", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What the storage said.
        reason: String,
    },
    /// Its metrics are registered already.
    #[error(
        "history metrics cannot be registered: {0}: give each history a metrics registry of its own"
    )]
    Metrics(String),
    /// Reading or writing failed; the next apply opens the folder anew.
    #[error("history {}: {reason}: check the disk", path.display())]
    Storage {
        /// The folder.
        path: PathBuf,
        /// What the storage said.
        reason: String,
    },
    /// The journal that feeds it cannot be read.
    #[error("the history cannot go on: {0}")]
    Journal(#[from] crate::JournalError),
}
