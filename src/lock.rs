//! One process owns a data folder, and keeps what it writes there to itself: secrets of webhooks, hashes of passwords.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The files of the ledger.
const LEDGER: [&str; 3] = ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"];

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
    #[error("cannot use the data folder {}: {source}; {}, or name another in [storage] folder", .path.display(), way_out(.source))]
    Unusable {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn way_out(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::PermissionDenied => {
            "give the user that the service runs as the right to write there (chown)"
        }
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where a folder must be: move it away"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space",
        ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        _ => "look whether it exists and can be written",
    }
}

/// Creates `folder` where needed and takes it.
pub fn take(folder: &Path) -> Result<FolderLock, LockError> {
    let unusable = |source| LockError::Unusable {
        path: folder.to_owned(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(unusable)?;
    let file = File::create(folder.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {
            keep_private(folder).map_err(unusable)?;
            Ok(FolderLock { _file: file })
        }
        Err(TryLockError::WouldBlock) => Err(LockError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// From here on the process writes files for its own user only, wherever the data folder came from; and a ledger that was
/// written before this was so is closed to others.
fn keep_private(folder: &Path) -> std::io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    for name in LEDGER {
        let path = folder.join(name);
        if let Ok(found) = std::fs::metadata(&path)
            && found.permissions().mode() & 0o077 != 0
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
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

    #[test]
    fn what_it_holds_is_for_its_user_alone() {
        let around = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = around.path().join("data");
        drop(take(&folder).unwrap());
        assert_eq!(mode(&folder), 0o700);
        let ledger = folder.join("ledger.sqlite");
        std::fs::write(&ledger, "").unwrap();
        assert_eq!(mode(&ledger), 0o600, "a new one");
        std::fs::set_permissions(&ledger, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(take(&folder).unwrap());
        assert_eq!(mode(&ledger), 0o600, "one from before");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("inside")] {
            let told = take(&path).unwrap_err().to_string();
            assert!(told.contains("a file stands where"), "{told}");
        }
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        assert!(way_out(&denied).contains("the right to write"));
    }
}
