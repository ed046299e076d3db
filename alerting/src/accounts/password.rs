//! Passwords: how they are written, which are taken, and how they are kept (argon2id). Hashing runs on threads of its
//! own, a few at a time, and takes as long for a name that does not exist. The only place that names argon2 and the
//! Unicode normaliser.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::secret::{Secret, random};

/// Memory in KiB, passes and lanes: the first choice of the OWASP password storage cheat sheet.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Hashings at a time; each takes 19 MiB and tens of milliseconds of one core.
const AT_ONCE: usize = 2;
/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a password.
const LENGTHS: std::ops::RangeInclusive<usize> = 10..=256;
/// Letters of a one-time password: none that people take for another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Why a password could not be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// More logins at a time than the machine should hash.
    #[error("too many logins at this moment: try again in some seconds")]
    Busy,
    /// The system failed.
    #[error("a password cannot be hashed: {0}")]
    System(String),
}

/// Hashes and compares passwords; clones share the limit.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// What is kept of a password.
    ///
    /// # Errors
    /// If too many are being hashed, or the system fails.
    pub async fn keep(&self, password: &Secret) -> Result<String, HashingError> {
        let password = password.clone();
        let salt = random().map_err(HashingError::System)?;
        let salt = salt[..16].to_vec();
        let work = move || (hash(&password, &salt, COST), salt);
        let (hash, salt) = self.work(work).await?;
        if hash.is_empty() {
            return Err(HashingError::System(
                "argon2 refuses its parameters".to_owned(),
            ));
        }
        Ok(encode(&salt, &hash))
    }

    /// Whether the password is the one that was kept; without anything kept it takes as long and is not.
    ///
    /// # Errors
    /// If too many are being hashed, or the system fails.
    pub async fn fits(
        &self,
        password: &Secret,
        kept: Option<String>,
    ) -> Result<bool, HashingError> {
        let password = password.clone();
        self.work(move || {
            let decoded = kept.as_deref().and_then(decode);
            let known = decoded.is_some();
            let (cost, salt, expected) = decoded.unwrap_or((COST, vec![0; 16], Vec::new()));
            let given = hash(&password, &salt, cost);
            // digests are compared, so that the time which that takes tells nothing
            known && Sha256::digest(given) == Sha256::digest(expected)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let ended = |error: &dyn std::fmt::Display| HashingError::System(error.to_string());
        let turn = turn
            .map_err(|_| HashingError::Busy)?
            .map_err(|error| ended(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|error| ended(&error))
    }
}

type Cost = (u32, u32, u32);

fn hash(password: &Secret, salt: &[u8], (memory, passes, lanes): Cost) -> Vec<u8> {
    let mut out = vec![0; 32];
    let hashed = Params::new(memory, passes, lanes, Some(out.len())).and_then(|params| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(compatible(password.reveal()).as_bytes(), salt, &mut out)
    });
    // only a cost that nobody could have stored fails; then nothing fits
    if hashed.is_err() {
        out.clear();
    }
    out
}

/// The usual text form of argon2 hashes.
fn encode(salt: &[u8], hash: &[u8]) -> String {
    let (memory, passes, lanes) = COST;
    let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    format!(
        "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}",
        text(salt),
        text(hash)
    )
}

fn decode(kept: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let mut parts = kept.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut numbers = parts
        .next()?
        .split(',')
        .map(|part| part.get(2..)?.parse().ok());
    let cost = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut bytes = || STANDARD_NO_PAD.decode(parts.next()?).ok();
    let (salt, hash) = (bytes()?, bytes()?);
    (!hash.is_empty()).then_some((cost, salt, hash))
}

/// NFKC: full-width letters and digits from a Chinese input method are the plain ones.
pub(super) fn compatible(text: &str) -> String {
    static NFKC: LazyLock<icu_normalizer::ComposingNormalizerBorrowed<'static>> =
        LazyLock::new(icu_normalizer::ComposingNormalizerBorrowed::new_nfkc);
    NFKC.normalize(text).into_owned()
}

/// Whether the password may be taken for that account; length counts, the kinds of letters do not.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(password: &Secret, names: [&str; 2]) -> Result<(), String> {
    let text = compatible(password.reveal());
    let length = text.chars().count();
    if !LENGTHS.contains(&length) {
        return Err(format!(
            "a password has {} to {} characters, this one {length}; several words in a row are good",
            LENGTHS.start(),
            LENGTHS.end()
        ));
    }
    let plain = text.to_lowercase();
    if names
        .iter()
        .any(|name| plain == compatible(name).to_lowercase())
    {
        return Err("the password is the name: take something that others do not know".to_owned());
    }
    let first = text.chars().next();
    if text.chars().all(|letter| Some(letter) == first) {
        return Err("the password is one letter again and again: take several words".to_owned());
    }
    Ok(())
}

/// Whether two passwords are the same, however they were typed.
pub(crate) fn same(one: &Secret, other: &Secret) -> bool {
    compatible(one.reveal()) == compatible(other.reveal())
}

/// A password of 100 random bits for a first login.
///
/// # Errors
/// If the system has no randomness to give.
pub(crate) fn one_time() -> Result<String, String> {
    let bytes = random()?;
    let letters = bytes[..20]
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let mut text = String::new();
    for (index, letter) in letters.enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push('-');
        }
        text.push(letter);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_itself_however_it_is_typed() {
        let passwords = Passwords::default();
        let kept = passwords
            .keep(&secret("守望者在此 Ｗacht 2026"))
            .await
            .unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        let fits = async |text| passwords.fits(&secret(text), Some(kept.clone())).await;
        assert_eq!(fits("守望者在此 Wacht 2026").await, Ok(true));
        assert_eq!(fits("守望者在此 wacht 2026").await, Ok(false));
        assert_eq!(passwords.fits(&secret(""), None).await, Ok(false));
        let again = passwords
            .keep(&secret("守望者在此 Wacht 2026"))
            .await
            .unwrap();
        assert_ne!(again, kept, "the salt differs");
    }

    #[tokio::test]
    async fn what_does_not_read_back_fits_nothing() {
        let passwords = Passwords::default();
        for kept in [
            "",
            "x",
            "$argon2id$v=19$m=1,t=0,p=0$AAAA$AAAA",
            "$argon2id$v=19$m=19456,t=2,p=1$$",
        ] {
            let fits = passwords
                .fits(&secret("0123456789"), Some(kept.to_owned()))
                .await;
            assert_eq!(fits, Ok(false), "{kept}");
        }
    }

    #[test]
    fn length_counts_and_the_name_does_not() {
        let names = ["wang.lei-2026", "王雷"];
        for good in ["correct horse", "王王王王王王王王王雷", "1234567890"] {
            assert_eq!(check(&secret(good), names), Ok(()), "{good}");
        }
        for bad in [
            "short",
            "Wang.Lei-2026",
            "ｗang.lei-2026",
            "aaaaaaaaaaaa",
            &"ab".repeat(200),
        ] {
            assert!(check(&secret(bad), names).is_err(), "{bad}");
        }
        assert_ne!(one_time(), one_time());
        assert_eq!(one_time().map(|text| text.len()), Ok(23));
    }
}
