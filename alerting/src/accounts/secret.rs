//! Random secrets and their fingerprints. The only place that asks the system for randomness.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::PartialSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// A password or token on its way: it can be used, and cannot be printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.write_only(true).build().into()
    }
}

impl utoipa::ToSchema for Secret {}

/// 32 random bytes.
///
/// # Errors
/// If the system has no randomness to give.
pub(super) fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

/// 256 random bits as text behind `prefix`.
///
/// # Errors
/// If the system has no randomness to give.
pub fn new_secret(prefix: &str) -> Result<String, String> {
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random()?)))
}

/// What is kept of a random secret: its SHA-256 in hexadecimal. Enough for 256 random bits, far too little for a
/// password.
#[must_use]
pub fn fingerprint(secret: &str) -> String {
    crate::ledger::sha256(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_do_not_print() {
        let (one, two) = (new_secret("cwt_").unwrap(), new_secret("cwt_").unwrap());
        assert!(one != two && one.len() == 47 && one.starts_with("cwt_"));
        assert_eq!(format!("{:?}", Secret::from(one)), "(secret)");
        assert_eq!(fingerprint("x").len(), 64);
    }
}
