//! The key that signs links: 256 random bits in a file of their own, made at the first start and readable by the
//! owner only. A new key makes every link that is out there useless, so an existing file is never replaced.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const BYTES: usize = 32;

/// Signs the links of one service.
#[derive(Clone)]
pub struct LinkKey([u8; BYTES]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key of links in {}: {source}; the service's user must own that folder", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "the key of links in {} has {found} bytes instead of {BYTES}: put the file back from a backup, or delete it; then links that were sent before stop to work", path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
}

impl LinkKey {
    /// The key in the file at `path`, made if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds something else.
    pub fn in_file(path: &Path) -> Result<LinkKey, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        match std::fs::read(path) {
            Ok(bytes) => {
                let key = <[u8; BYTES]>::try_from(bytes.as_slice());
                key.map(LinkKey).map_err(|_| KeyError::Length {
                    path: path.to_owned(),
                    found: bytes.len(),
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => make(path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// A key that is known already.
    #[must_use]
    pub fn from_bytes(bytes: [u8; BYTES]) -> LinkKey {
        LinkKey(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Written beside and renamed, so that a crash leaves no half key.
fn make(path: &Path) -> std::io::Result<LinkKey> {
    let random = [
        uuid::Uuid::new_v4(),
        uuid::Uuid::new_v4(),
        uuid::Uuid::new_v4(),
    ];
    let key: [u8; BYTES] = Sha256::digest(random.map(uuid::Uuid::into_bytes).concat()).into();
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(LinkKey(key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_start_makes_a_private_key_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("links.key");
        let first = LinkKey::in_file(&path).unwrap();
        assert_eq!(LinkKey::in_file(&path).unwrap().bytes(), first.bytes());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        let error = LinkKey::in_file(&path).err().unwrap().to_string();
        assert!(error.contains("5 bytes instead of 32"), "{error}");
    }
}
