//! One process owns a data folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Held as long as the folder is in use; the system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another process owns the data folder {}; stop it, or name another folder in [storage] folder", .0.display())]
    Taken(PathBuf),
    #[error("cannot use the data folder {}: {source}; create it or name another in [storage] folder", .path.display())]
    Unusable {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Creates `folder` where needed and takes it.
pub fn take(folder: &Path) -> Result<FolderLock, LockError> {
    let unusable = |source| LockError::Unusable {
        path: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let file = File::create(folder.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(LockError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path()).unwrap();
        assert!(matches!(take(folder.path()), Err(LockError::Taken(_))));
        drop(lock);
        take(folder.path()).unwrap();
    }
}
