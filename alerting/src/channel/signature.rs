//! Signatures of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`. Secrets never leave this file but as
//! signatures; printing one shows nothing of it.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// The bytes that Standard Webhooks asks of a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// One or more signing keys. While a key is being replaced both sign, and the recipient takes either.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    keys: Vec<Vec<u8>>,
}

/// Why a text is not a signing secret. It never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is nothing.
    #[error(
        "the webhook secret is empty: write whsec_ and 24 to 64 bytes in base64, or leave the field out"
    )]
    Empty,
    /// Another kind of text.
    #[error(
        "the webhook secret number {0} does not begin with whsec_: write whsec_ and 24 to 64 bytes in base64"
    )]
    Prefix(usize),
    /// Not base64.
    #[error(
        "the webhook secret number {0} is not base64 after whsec_: make one with `openssl rand -base64 32`"
    )]
    Base64(usize),
    /// Too weak, or too long to be meant.
    #[error(
        "the webhook secret number {0} has {1} bytes: 24 to 64 are asked for; make one with `openssl rand -base64 32`"
    )]
    Length(usize, usize),
}

/// `whsec_BASE64`, or several of them separated by spaces, the newest first.
impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Secret, SecretError> {
        let keys = text
            .split_whitespace()
            .enumerate()
            .map(|(index, word)| key(index + 1, word))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(SecretError::Empty)
        } else {
            Ok(Secret { keys })
        }
    }
}

fn key(number: usize, word: &str) -> Result<Vec<u8>, SecretError> {
    let base64 = word
        .strip_prefix(PREFIX)
        .ok_or(SecretError::Prefix(number))?;
    let key = BASE64_STANDARD
        .decode(base64)
        .map_err(|_| SecretError::Base64(number))?;
    if BYTES.contains(&key.len()) {
        Ok(key)
    } else {
        Err(SecretError::Length(number, key.len()))
    }
}

impl Secret {
    /// The value of the header `webhook-signature`: one `v1,BASE64` for each key, separated by spaces.
    /// `timestamp` is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, message_id: &str, timestamp: i64, body: &[u8]) -> String {
        let head = format!("{message_id}.{timestamp}.");
        let signature = |key: &Vec<u8>| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(head.as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.keys
            .iter()
            .map(signature)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} keys)", self.keys.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification and of its libraries' tests.
    #[test]
    fn signs_as_the_specification_does() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_key_signs_while_one_is_replaced() {
        let (old, new) = (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        );
        let sign = |text: &str| text.parse::<Secret>().unwrap().sign("id", 1, b"{}");
        assert_eq!(
            sign(&format!("{new} {old}")),
            format!("{} {}", sign(new), sign(old))
        );
    }

    #[test]
    fn says_what_is_wrong_without_quoting_the_secret() {
        for (text, want) in [
            ("", SecretError::Empty),
            ("hunter2", SecretError::Prefix(1)),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_%%%",
                SecretError::Base64(2),
            ),
            ("whsec_c2hvcnQ=", SecretError::Length(1, 5)),
        ] {
            assert_eq!(text.parse::<Secret>().unwrap_err(), want);
        }
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(1 keys)");
    }
}
