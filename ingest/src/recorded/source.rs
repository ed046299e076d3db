//! Bytes of a file, plain or gzipped, with a count of how far reading is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 64 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How far reading is, in bytes of the files as they lie on disk.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes read of all files.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of all files; 0 if they are pipes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Opens `path`; a gzip file is known by its first bytes, whatever its name.
pub(super) fn open(path: &Path, progress: &Arc<Progress>) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    progress
        .total
        .fetch_add(file.metadata()?.len(), Ordering::Relaxed);
    let counted = Counted {
        file,
        progress: Arc::clone(progress),
    };
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, counted);
    if plain.fill_buf()?.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            MultiGzDecoder::new(plain),
        )));
    }
    Ok(Box::new(plain))
}

struct Counted {
    file: File,
    progress: Arc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.progress
            .read
            .fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
