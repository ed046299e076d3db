//! Names of recorded rows: interned once, then found again in a table of the file's own. Interning asks a
//! global table with a lock, which is too slow to do three times a row.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use citywatch_model::{Name, name};
use ustr::IdentityHasher;

/// Distinct names that one file may bring; names are never freed.
const MAX_NAMES: usize = 1_000_000;

/// Names seen so far, by a hash of their letters; a collision only costs time.
pub(super) struct NameCache {
    names: Vec<Name>,
    /// Their places.
    known: HashMap<u64, usize, BuildHasherDefault<IdentityHasher>>,
    /// Place of the name that is looked for first: names often come in the same order again.
    expected: usize,
    last: Name,
    most_bytes: usize,
    misses: usize,
}

impl NameCache {
    /// For names of at most `most_bytes`.
    pub(super) fn new(most_bytes: usize) -> NameCache {
        NameCache {
            names: Vec::new(),
            known: HashMap::default(),
            expected: 0,
            last: Name::default(),
            most_bytes,
            misses: 0,
        }
    }

    /// The name with these letters, or what is wrong with them.
    #[inline]
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Name, String> {
        if let Some(expected) = self.names.get(self.expected)
            && expected.as_bytes() == bytes
        {
            self.expected += 1;
            return Ok(*expected);
        }
        let hash = hash_of(bytes);
        let place = match self.known.get(&hash) {
            Some(place) if self.names[*place].as_bytes() == bytes => *place,
            Some(_) | None => self.learn(hash, bytes)?,
        };
        self.expected = place + 1;
        Ok(self.names[place])
    }

    /// The same for names that mostly are those of the row before.
    #[inline]
    pub(super) fn find_again(&mut self, bytes: &[u8]) -> Result<Name, String> {
        if self.last.as_bytes() != bytes {
            self.last = self.find(bytes)?;
        }
        Ok(self.last)
    }

    #[cold]
    fn learn(&mut self, hash: u64, bytes: &[u8]) -> Result<usize, String> {
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
        // another name with this hash gives its place up
        let place = *self.known.entry(hash).or_insert(self.names.len());
        match self.names.get_mut(place) {
            Some(held) => *held = name(text),
            None => self.names.push(name(text)),
        }
        Ok(place)
    }
}

/// Eight letters at a time, each word multiplied to both halves of 128 bits and folded; the last word may
/// overlap the one before it.
fn hash_of(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
    let word = |part: &[u8]| {
        part.iter()
            .rev()
            .fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
    };
    let mixed = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        (wide as u64) ^ (wide >> 64) as u64
    };
    let mut hash = SEED ^ bytes.len() as u64;
    let Some(tail) = bytes.last_chunk::<8>() else {
        return mixed(mixed(hash, word(bytes)), SEED);
    };
    for chunk in bytes.as_chunks::<8>().0 {
        hash = mixed(hash, u64::from_le_bytes(*chunk));
    }
    mixed(mixed(hash, u64::from_le_bytes(*tail)), SEED)
}
