//! Names of recorded rows: interned once, then found again by a look at a small table. Interning asks a
//! global table with a lock, which is too slow to do three times a row.

use citywatch_model::{Name, name};

/// A power of two.
const SLOTS: usize = 1024;

/// Distinct names that one file may bring; names are never freed.
const MAX_NAMES: usize = 1_000_000;

/// Names seen lately, by a hash of their letters; a collision only costs time.
pub(super) struct NameCache {
    slots: Vec<Option<Name>>,
    most_bytes: usize,
    misses: usize,
}

impl NameCache {
    /// For names of at most `most_bytes`.
    pub(super) fn new(most_bytes: usize) -> NameCache {
        NameCache {
            slots: vec![None; SLOTS],
            most_bytes,
            misses: 0,
        }
    }

    /// The name with these letters, or what is wrong with them.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Name, String> {
        let slot = &mut self.slots[slot_of(bytes)];
        if let Some(known) = slot
            && known.as_bytes() == bytes
        {
            return Ok(*known);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| "is not UTF-8: save the file as UTF-8".to_owned())?;
        if text.len() > self.most_bytes {
            return Err(format!(
                "has {} bytes: {} are allowed",
                text.len(),
                self.most_bytes
            ));
        }
        if text.chars().any(char::is_control) {
            return Err("holds a control character: remove it".to_owned());
        }
        let new = ustr::existing_ustr(text).is_none();
        self.misses += usize::from(new);
        if self.misses > MAX_NAMES {
            return Err(format!(
                "is one name more than the {MAX_NAMES} that a file may bring"
            ));
        }
        let known = name(text);
        *slot = Some(known);
        Ok(known)
    }
}

/// Ends of the name and its length: sensors of one series differ at the end.
fn slot_of(bytes: &[u8]) -> usize {
    let word = |part: &[u8]| {
        part.iter()
            .fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
    };
    let head = word(&bytes[..bytes.len().min(8)]);
    let tail = word(&bytes[bytes.len().saturating_sub(8)..]);
    let mixed =
        (head ^ tail.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 54) as usize
}
