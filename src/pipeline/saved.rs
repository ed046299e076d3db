//! Saved engine state on disk, so that a start reads only the journal's tail. A file holds what is in force and
//! the engine's snapshot; the journal and the ledger stay the truth, and a file that cannot be used is only slower.
//!
//! ```text
//! "citywsav"  version u32  length of facts u32  facts (JSON)  CRC-32 of facts u32  engine snapshot
//! ```
//!
//! Files are written under another name, always the same one, synced and renamed; the newest two are kept. One is
//! written only when the ledger has its position on disk, and free space stays above the mark.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use citywatch_model::{Position, Registry, RulesInForce};
use citywatch_rules::Snapshot;

use super::Facts;

const MAGIC: &[u8; 8] = b"citywsav";
const VERSION: u32 = 2;
const HEAD: usize = 16;
const KEPT: usize = 2;
const UNFINISHED: &str = "state.unfinished";

/// State that a start can go on from.
pub struct Saved {
    /// The last record that it includes.
    pub position: Position,
    /// What was in force then.
    pub facts: Arc<Facts>,
    /// The engine's part.
    pub engine: Vec<u8>,
}

/// The folder of saved states.
#[derive(Debug, Clone)]
pub struct SavedStates(PathBuf);

impl SavedStates {
    /// In `folder`, which need not exist.
    pub fn new(folder: PathBuf) -> SavedStates {
        SavedStates(folder)
    }

    /// Removes states after `committed`. None is written ahead of the ledger, so they were left by another past of
    /// the data folder, such as one before a backup was put back, and would be wrong for what comes now. What was not
    /// finished goes too.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn forget_after(&self, committed: Position) -> io::Result<()> {
        for path in self.entries()? {
            if path.extension().is_some_and(|end| end == "unfinished") {
                fs::remove_file(&path)?;
            }
        }
        for (position, path) in self.files()? {
            if position > committed {
                fs::remove_file(&path)?;
                tracing::warn!(file = %path.display(), committed, "a saved state is ahead of the alert book or the journal; it was removed");
            }
        }
        Ok(())
    }

    /// Where the states stand, the oldest first.
    pub fn positions(&self) -> Vec<Position> {
        let files = self.files().unwrap_or_default();
        files.into_iter().map(|(position, _)| position).collect()
    }

    /// Usable states, the newest first. What cannot be read is told and left out.
    pub fn usable(&self) -> impl Iterator<Item = Saved> {
        let files = self.files().unwrap_or_default();
        files.into_iter().rev().filter_map(|(position, path)| {
            let read = fs::read(&path).map_err(|error| error.to_string());
            match read.and_then(|bytes| decode(position, &bytes)) {
                Ok((facts, engine)) => Some(Saved {
                    position,
                    facts,
                    engine,
                }),
                Err(reason) => {
                    tracing::warn!(file = %path.display(), reason, "a saved state cannot be used; an older one or the journal serves instead");
                    None
                }
            }
        })
    }

    /// Keeps `snapshot`, which was taken while `facts` were in force, and forgets all but the newest two.
    ///
    /// # Errors
    /// If the folder cannot be written; the older states are then untouched, and nothing of this one is left.
    pub fn save(&self, facts: &Facts, snapshot: &Snapshot) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let unfinished = self.0.join(UNFINISHED);
        self.write(&unfinished, facts, snapshot)
            .inspect_err(|_| remove_unfinished(&unfinished))?;
        let files = self.files()?;
        for (_, old) in files.iter().take(files.len().saturating_sub(KEPT)) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    fn write(&self, unfinished: &Path, facts: &Facts, snapshot: &Snapshot) -> io::Result<()> {
        let mut file = File::create(unfinished)?;
        file.write_all(&encode(facts)?)?;
        file.write_all(&snapshot.bytes)?;
        file.sync_all()?;
        let path = self.0.join(format!("{:020}.state", snapshot.position));
        fs::rename(unfinished, path)?;
        File::open(&self.0)?.sync_all()
    }

    fn files(&self) -> io::Result<Vec<(Position, PathBuf)>> {
        let paths = self.entries()?.into_iter();
        let mut files: Vec<_> = paths
            .filter_map(|path| Some((position_of(&path)?, path)))
            .collect();
        files.sort();
        Ok(files)
    }

    /// What lies in the folder.
    fn entries(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.path())).collect(),
        }
    }
}

/// So that a full disk gets back what a state took that it could not take whole.
fn remove_unfinished(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), %error, "an unfinished state of the engine cannot be removed; remove it by hand");
    }
}

fn position_of(path: &Path) -> Option<Position> {
    let finished = path.extension().is_some_and(|end| end == "state");
    finished
        .then(|| path.file_stem()?.to_str()?.parse().ok())
        .flatten()
}

fn encode(facts: &Facts) -> io::Result<Vec<u8>> {
    let body =
        serde_json::to_vec(&(&*facts.in_force, &*facts.registry)).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEAD + body.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    Ok(bytes)
}

fn decode(position: Position, bytes: &[u8]) -> Result<(Arc<Facts>, Vec<u8>), String> {
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_le_bytes)
            .ok_or_else(|| "it is cut off".to_owned())
    };
    if bytes.get(..8) != Some(MAGIC) {
        return Err("it is no saved state".to_owned());
    }
    let version = number(8)?;
    if version != VERSION {
        return Err(format!(
            "it has version {version}, this program reads {VERSION}"
        ));
    }
    let end = HEAD + number(12)? as usize;
    let body = bytes.get(HEAD..end).ok_or("it is cut off")?;
    if number(end)? != crc32fast::hash(body) {
        return Err("it is damaged: its checksum does not match".to_owned());
    }
    let (in_force, registry): (RulesInForce, Registry) =
        serde_json::from_slice(body).map_err(|error| format!("it is damaged: {error}"))?;
    let engine = &bytes[end + 4..];
    let head = Snapshot::inspect(engine).map_err(|error| error.to_string())?;
    if head.position != position {
        return Err(format!(
            "its name says position {position}, its content {}",
            head.position
        ));
    }
    let facts = Facts::of(in_force, registry)?;
    Ok((Arc::new(facts), engine.to_vec()))
}
