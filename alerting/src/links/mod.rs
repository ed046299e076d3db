//! Signed links: the answer page of one delivery, and the address at which a gateway reports of one attempt. A link
//! is a capability: whoever holds it may do that one thing until it lapses, and nobody can make one without the key.
//! It must never appear in a log, and nothing here is kept: a token holds all that it says.
//!
//! A token is base64url of `delivery ‖ [attempt: 2] ‖ expiry: 4 ‖ tag: 16`, big-endian, the delivery without its leading
//! zero bytes, the expiry in seconds since 1970, the tag the first half of HMAC-SHA256 over a word for the purpose and
//! all before it. A short one matters: it stands in text messages.

mod key;

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use citywatch_model::{Duration, Time};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use key::{KeyError, LinkKey};

/// 128 bits cannot be guessed.
const TAG_BYTES: usize = 16;
const EXPIRY_BYTES: usize = 4;
const ATTEMPT_BYTES: usize = 2;
/// No real token is longer; what is longer is not decoded.
const MAX_CHARS: usize = 64;
/// People finish their work after a warning has lapsed.
const ANSWER_GRACE: Duration = Duration::from_secs(2 * 86_400);
/// Carriers give up a message after three days at most.
const RECEIPT_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Makes and reads the links of one service.
#[derive(Clone)]
pub struct SignedLinks {
    key: LinkKey,
    public_url: String,
    receipts_url: String,
}

/// Nothing of the key is shown.
impl fmt::Debug for SignedLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedLinks")
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// This service has not made it.
    #[error("this link was not made here, or it was copied incompletely")]
    Forged,
    /// It has lapsed.
    #[error("this link has lapsed")]
    Expired,
}

/// The attempt that a gateway reports of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptOf {
    /// The delivery.
    pub delivery: i64,
    /// Its attempt, from 1.
    pub attempt: u32,
}

#[derive(Clone, Copy)]
enum Purpose {
    Answer,
    Receipt,
}

impl Purpose {
    const fn word(self) -> &'static [u8] {
        match self {
            Purpose::Answer => b"answer",
            Purpose::Receipt => b"receipt",
        }
    }
}

impl SignedLinks {
    /// SignedLinks below `public_url`, the address of the service as recipients reach it.
    #[must_use]
    pub fn new(key: LinkKey, public_url: &str) -> SignedLinks {
        let public_url = public_url.trim_end_matches('/').to_owned();
        SignedLinks {
            key,
            receipts_url: public_url.clone(),
            public_url,
        }
    }

    /// Lets gateways report below `url`, where they reach this service, instead of the public address.
    #[must_use]
    pub fn with_receipts_at(self, url: &str) -> SignedLinks {
        SignedLinks {
            receipts_url: url.trim_end_matches('/').to_owned(),
            ..self
        }
    }

    /// The page on which the recipient of `delivery` answers; good until two days after the warning lapses.
    #[must_use]
    pub fn answer_url(&self, delivery: i64, warning_expires: Time) -> String {
        let token = self.token(
            Purpose::Answer,
            delivery,
            &[],
            warning_expires + ANSWER_GRACE,
        );
        format!("{}/a/{token}", self.public_url)
    }

    /// Which delivery an answer belongs to.
    ///
    /// # Errors
    /// If the token was not made here or has lapsed at `now`.
    pub fn answer_of(&self, token: &str, now: Time) -> Result<i64, LinkError> {
        let (delivery, _) = self.read(Purpose::Answer, token, 0, now)?;
        Ok(delivery)
    }

    /// Where the SMS gateway reports of an attempt that is made at `now`; good for a week.
    #[must_use]
    pub fn receipt_url(&self, of: ReceiptOf, now: Time) -> String {
        let attempt = u16::try_from(of.attempt).unwrap_or(u16::MAX).to_be_bytes();
        let token = self.token(Purpose::Receipt, of.delivery, &attempt, now + RECEIPT_LIFE);
        format!("{}/receipts/sms/{token}", self.receipts_url)
    }

    /// Which attempt a report belongs to.
    ///
    /// # Errors
    /// If the token was not made here or has lapsed at `now`.
    pub fn receipt_of(&self, token: &str, now: Time) -> Result<ReceiptOf, LinkError> {
        let (delivery, attempt) = self.read(Purpose::Receipt, token, ATTEMPT_BYTES, now)?;
        let attempt = attempt.try_into().map_err(|_| LinkError::Forged)?;
        Ok(ReceiptOf {
            delivery,
            attempt: u16::from_be_bytes(attempt).into(),
        })
    }

    fn token(&self, purpose: Purpose, delivery: i64, more: &[u8], expires: Time) -> String {
        let id = delivery.to_be_bytes();
        let zeros = id.iter().take_while(|byte| **byte == 0).count();
        let expires = u32::try_from(expires.millis().div_euclid(1_000).max(0)).unwrap_or(u32::MAX);
        let mut bytes = [&id[zeros..], more, &expires.to_be_bytes()].concat();
        let tag = self.mac(purpose, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The delivery and the `more` bytes behind it.
    fn read(
        &self,
        purpose: Purpose,
        token: &str,
        more: usize,
        now: Time,
    ) -> Result<(i64, Vec<u8>), LinkError> {
        if token.len() > MAX_CHARS {
            return Err(LinkError::Forged);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| LinkError::Forged)?;
        let payload = bytes.len().checked_sub(TAG_BYTES);
        let (payload, tag) = bytes.split_at(payload.ok_or(LinkError::Forged)?);
        self.mac(purpose, payload)
            .verify_truncated_left(tag)
            .map_err(|_| LinkError::Forged)?;
        // from here on the bytes are our own
        let id = payload.len().checked_sub(EXPIRY_BYTES + more);
        let (id, rest) = payload.split_at(id.ok_or(LinkError::Forged)?);
        let (more, expires) = rest.split_at(more);
        let delivery = id.iter().fold(0, |id, byte| id << 8 | i64::from(*byte));
        let expires = expires
            .iter()
            .fold(0, |at, byte| at << 8 | i64::from(*byte));
        if now.millis() >= expires * 1_000 {
            return Err(LinkError::Expired);
        }
        Ok((delivery, more.to_vec()))
    }

    fn mac(&self, purpose: Purpose, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.mac();
        mac.update(purpose.word());
        mac.update(payload);
        mac
    }
}

impl LinkKey {
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.bytes()).expect("HMAC takes keys of any length")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn links(key: u8) -> SignedLinks {
        SignedLinks::new(
            LinkKey::from_bytes([key; 32]),
            "https://warn.example.gov.cn/",
        )
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn token(url: &str) -> &str {
        url.rsplit('/').next().unwrap()
    }

    #[test]
    fn an_answer_link_is_short_and_good_until_two_days_after_the_warning() {
        let expires = time("2026-11-22T08:00:00Z");
        for delivery in [1, 255, 256, 70_000, i64::MAX] {
            let url = links(7).answer_url(delivery, expires);
            assert!(url.starts_with("https://warn.example.gov.cn/a/"), "{url}");
            assert!(token(&url).len() <= 38, "{url}");
            let read = |now| links(7).answer_of(token(&url), time(now));
            assert_eq!(read("2026-11-24T07:59:59Z"), Ok(delivery));
            assert_eq!(read("2026-11-24T08:00:00Z"), Err(LinkError::Expired));
        }
    }

    #[test]
    fn a_receipt_names_delivery_and_attempt() {
        let (now, of) = (
            time("2026-11-22T08:00:00Z"),
            ReceiptOf {
                delivery: 300,
                attempt: 12,
            },
        );
        let url = links(7)
            .with_receipts_at("http://10.0.0.2:8080/")
            .receipt_url(of, now);
        assert!(
            url.starts_with("http://10.0.0.2:8080/receipts/sms/"),
            "{url}"
        );
        assert_eq!(links(7).receipt_of(token(&url), now), Ok(of));
        let later = now + Duration::from_secs(7 * 86_400);
        assert_eq!(
            links(7).receipt_of(token(&url), later),
            Err(LinkError::Expired)
        );
    }

    #[test]
    fn nothing_but_the_very_token_is_taken() {
        let now = time("2026-11-22T08:00:00Z");
        let url = links(7).answer_url(12, now);
        let good = token(&url);
        assert_eq!(links(8).answer_of(good, now), Err(LinkError::Forged), "key");
        assert_eq!(
            links(7).receipt_of(good, now),
            Err(LinkError::Forged),
            "purpose"
        );
        for at in 0..good.len() {
            for other in ['A', 'b', '7', '_', '=', '汉'] {
                let mut changed: String = good.to_owned();
                changed.replace_range(at..=at, &other.to_string());
                let read = links(7).answer_of(&changed, now);
                assert!(changed == good || read.is_err(), "{changed}");
            }
        }
        let long = format!("{good}{}", "A".repeat(400));
        for wrong in ["", "A", &good[1..], &good[..good.len() - 1], &long] {
            assert_eq!(
                links(7).answer_of(wrong, now),
                Err(LinkError::Forged),
                "{wrong}"
            );
        }
    }
}
