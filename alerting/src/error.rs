//! What the ledger answers when it cannot do what it was asked. One type for the whole boundary, with the
//! questions that a caller has (may I retry, was it my fault, was somebody faster) as predicates.

use std::path::{Path, PathBuf};

/// Why a call to the ledger failed. Nothing of a failed call was kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no such thing.
    #[error("there is no {what} `{id}`; list them to see which there are")]
    NotFound {
        /// `alert`, `warning` or `delivery`.
        what: &'static str,
        /// As it was asked for.
        id: String,
    },
    /// Somebody was faster, or the thing is past that stage.
    #[error("{0}")]
    Conflict(String),
    /// The version that the caller saw is not the present one.
    #[error(
        "alert {id} is at version {present} and no longer at {seen}: read it again, then decide"
    )]
    Stale {
        /// The alert.
        id: i64,
        /// What the caller saw.
        seen: i64,
        /// What it is now.
        present: i64,
    },
    /// The rules, sensors and plans in force are not those that the caller saw.
    #[error(
        "version {present} is in force and no longer {seen}: read again what is in force, then decide"
    )]
    StaleVersion {
        /// What the caller saw.
        seen: i64,
        /// What is in force.
        present: i64,
    },
    /// The call itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The ledger file was written by a newer program.
    #[error(
        "the ledger has schema {found}, this program knows up to {known}: start the newer program, or restore an older ledger"
    )]
    NewerSchema {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// More is being asked than this machine can do at a time.
    #[error("{0}")]
    Busy(String),
    /// The system failed, not the ledger.
    #[error("{0}")]
    System(String),
    /// The disk is full.
    #[error(
        "the disk that holds the ledger is full: free some space; what was asked has not been kept"
    )]
    Full,
    /// Another program holds the ledger.
    #[error(
        "the ledger is locked by another program: end it, only one may write; what was asked has not been kept"
    )]
    Locked,
    /// The database failed.
    #[error("ledger: {doing}: {source}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The file of the ledger cannot be used.
    #[error("the ledger {}: {doing}: {source}; {}", path.display(), way_out(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A stored record does not read back.
    #[error("ledger: stored {what} does not read back: {source}; restore the ledger from a backup")]
    Corrupt {
        /// Which kind of record.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// A metric of that name is registered already.
    #[error("metrics: {0}; open the ledger once per registry")]
    Metrics(#[from] prometheus::Error),
}

impl LedgerError {
    /// Somebody was faster: the caller should read again and decide anew.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            LedgerError::Conflict(_) | LedgerError::Stale { .. } | LedgerError::StaleVersion { .. }
        )
    }

    /// What was asked for does not exist.
    #[must_use]
    pub fn not_found(&self) -> bool {
        matches!(self, LedgerError::NotFound { .. })
    }

    /// The caller must ask for something else.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, LedgerError::Invalid(_))
    }

    /// The same call may succeed later without anybody changing it.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(
            self,
            LedgerError::Full
                | LedgerError::Locked
                | LedgerError::Busy(_)
                | LedgerError::Storage { .. }
        )
    }

    pub(crate) fn missing(what: &'static str, id: impl std::fmt::Display) -> LedgerError {
        LedgerError::NotFound {
            what,
            id: id.to_string(),
        }
    }

    /// Adds what was being done, and tells a full disk and a lock from the rest.
    pub(crate) fn storage(doing: &'static str) -> impl FnOnce(sqlx::Error) -> LedgerError {
        move |source| match code(&source) {
            Some(13) => LedgerError::Full,
            Some(5 | 6) => LedgerError::Locked,
            _ => LedgerError::Storage { doing, source },
        }
    }

    /// Names the file, where it is the matter.
    pub(crate) fn of_file(self, path: &Path) -> LedgerError {
        match self {
            LedgerError::Storage { doing, source } => LedgerError::File {
                path: path.to_owned(),
                doing,
                source,
            },
            other => other,
        }
    }

    pub(crate) fn corrupt(what: &'static str) -> impl FnOnce(serde_json::Error) -> LedgerError {
        move |source| LedgerError::Corrupt { what, source }
    }
}

/// SQLite's primary result code, which stands in the low byte of the extended ones.
fn code(source: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(database) = source else {
        return None;
    };
    let code = database.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

fn way_out(source: &sqlx::Error) -> &'static str {
    match code(source) {
        // corrupt, and no database
        Some(11 | 26) => {
            "the file is damaged: put all files ledger.sqlite* of a backup in the place of those that are there; if there is none, move \
             them away and start once with `citywatch run --ledger-lost`"
        }
        // permission, read-only, cannot open, authorisation
        Some(3 | 8 | 14 | 23) => {
            "give the user that the service runs as the right to read and write this file and its folder"
        }
        _ => "look whether the disk is well; nothing in the file was changed",
    }
}
