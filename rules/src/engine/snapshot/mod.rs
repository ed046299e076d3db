//! Engine state as bytes, so that a restart need not read the journal from its beginning. A snapshot lies exactly
//! between two epochs, and any number of workers can go on from it. Numbers little-endian:
//!
//! ```text
//!  0  8  "citywsnp"
//!  8  2  version of this layout
//! 10  4  version of the meaning of state
//! 14  8  position of the last record read
//! 22  8  its clock, milliseconds
//! 30  4  number of sections
//!        sections: 8 bytes that say how long it is, then body, dictionary of names, 8 bytes: length of the body
//!        4 bytes: CRC-32 of everything before
//! ```
//!
//! Sections: what is in force (rule texts, zones); programs of the first stage and remote values; the second
//! stage; then sensors, some sections for each worker that wrote them, so that they can be read side by side. Bodies are written field by field (`codec`).
//!
//! Invariants: nothing that follows from rules and registry is written, only checked against them; no place in
//! a list is trusted; floating-point numbers keep every bit; whatever the bytes, reading ends in a state or an
//! error, and takes no more memory than a small multiple of their length.

pub(in crate::engine) mod codec;
pub(in crate::engine) mod core;
mod error;
mod resumed;

use std::fmt;

use citywatch_model::{Position, Time};

use self::codec::ensure;
pub use self::error::SnapshotError;
pub(crate) use self::resumed::Resumed;
use super::core::{Core, Reached};
use super::second::Second;

const MAGIC: &[u8; 8] = b"citywsnp";
/// Version of the layout.
const FORMAT: u16 = 2;
/// To be raised whenever the same bytes would mean another state: when windows, proofs, derived series or the
/// order in which rules are prepared change.
const MEANING: u32 = 4;
const HEAD: usize = 34;
const CHECKSUM: usize = 4;
/// Sections of sensors that a core writes.
const SECTIONS: usize = 4;

/// Engine state between two epochs.
#[derive(Clone, PartialEq)]
pub struct Snapshot {
    /// The last record read: whoever resumes submits the records after it.
    pub position: Position,
    /// Its clock.
    pub clock: Time,
    /// The whole snapshot; position and clock stand in it too.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot {
            position,
            clock,
            bytes,
        } = self;
        write!(f, "Snapshot({position}, {clock}, {} bytes)", bytes.len())
    }
}

/// Up to where a snapshot has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The last record read.
    pub position: Position,
    /// Its clock.
    pub clock: Time,
}

impl Snapshot {
    /// What `bytes` say of themselves, once magic, versions and checksum hold.
    ///
    /// # Errors
    /// If they are no snapshot that this program can read. Whether the state in them is sound shows when it is
    /// resumed.
    pub fn inspect(bytes: &[u8]) -> Result<SnapshotHead, SnapshotError> {
        opened(bytes).map(|(head, _)| head)
    }

    /// `None` if a section is missing.
    pub(crate) fn composed(
        reached: Reached,
        second: &Second,
        cores: Vec<CoreSections>,
    ) -> Option<Snapshot> {
        let mut sections = vec![second.write_in_force()?];
        let mut sensors = Vec::with_capacity(cores.len());
        for core in cores {
            // they are the same for all cores
            if sections.len() == 1 {
                sections.push(core.programs);
                sections.push(second.write()?);
            }
            sensors.extend(core.sensors);
        }
        // workers come in any order
        sensors.sort();
        sections.append(&mut sensors);
        let length: usize = sections.iter().map(|section| section.len() + 8).sum();
        let mut bytes = Vec::with_capacity(HEAD + length + CHECKSUM);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(MEANING.to_le_bytes());
        bytes.extend(reached.position.to_le_bytes());
        bytes.extend(reached.clock.millis().to_le_bytes());
        bytes.extend((sections.len() as u32).to_le_bytes());
        for section in sections {
            bytes.extend((section.len() as u64).to_le_bytes());
            bytes.extend(section);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        Some(Snapshot {
            position: reached.position,
            clock: reached.clock,
            bytes,
        })
    }
}

/// What one core of the first stage keeps.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct CoreSections {
    programs: Vec<u8>,
    sensors: Vec<Vec<u8>>,
}

impl CoreSections {
    pub(crate) fn of(core: &Core) -> Option<CoreSections> {
        Some(CoreSections {
            programs: core.write_all_programs()?,
            sensors: core.write_sensors(SECTIONS)?,
        })
    }
}

/// Head and sections of a snapshot whose checksum holds.
fn opened(bytes: &[u8]) -> Result<(SnapshotHead, Vec<&[u8]>), SnapshotError> {
    if !bytes.starts_with(MAGIC) {
        return Err(SnapshotError::Foreign);
    }
    let mut head = Head(bytes.get(MAGIC.len()..HEAD).ok_or(SnapshotError::Cut)?);
    let format = u16::from_le_bytes(head.next()?);
    if format != FORMAT {
        let (found, known) = (format.into(), FORMAT.into());
        return Err(SnapshotError::Version { found, known });
    }
    let meaning = u32::from_le_bytes(head.next()?);
    let (body, checksum) = bytes.split_last_chunk().ok_or(SnapshotError::Cut)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(SnapshotError::Checksum);
    }
    if meaning != MEANING {
        let (found, known) = (meaning, MEANING);
        return Err(SnapshotError::Meaning { found, known });
    }
    let position = u64::from_le_bytes(head.next()?);
    let millis = i64::from_le_bytes(head.next()?);
    let clock = Time::from_millis(millis);
    ensure(
        clock.millis() == millis && position < u64::MAX / 2,
        "its position or clock cannot be",
    )?;
    let count = u32::from_le_bytes(head.next()?);
    let mut rest = Head(body.get(HEAD..).ok_or(SnapshotError::Cut)?);
    let mut sections = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(u64::from_le_bytes(rest.next()?));
        let cut = length
            .ok()
            .and_then(|length| rest.0.split_at_checked(length));
        let (section, after) = cut.ok_or(SnapshotError::Cut)?;
        sections.push(section);
        rest = Head(after);
    }
    ensure(rest.0.is_empty(), "something stands behind its sections")?;
    Ok((SnapshotHead { position, clock }, sections))
}

/// Fixed-width numbers, one after the other.
struct Head<'a>(&'a [u8]);

impl Head<'_> {
    fn next<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(SnapshotError::Cut)?;
        self.0 = rest;
        Ok(*number)
    }
}
