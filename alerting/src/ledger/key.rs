//! Idempotency keys: the same call with the same key gets the first answer again and does nothing. A key
//! belongs to one actor; using it for another call is a conflict.

use std::fmt::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::Row;

use super::session::Session;
use super::statement::statement;
use super::{Call, to_json};
use crate::LedgerError;

/// Fingerprint of a call: what is done to what, with which arguments.
pub(super) fn fingerprint<T: Serialize>(act: &str, target: i64, arguments: &T) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{act} {target} "));
    digest.update(to_json(arguments));
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all that is written");
            hex
        })
}

impl Session {
    /// The first answer to this call, if its key was used before.
    pub(super) async fn first_answer<T: DeserializeOwned>(
        &mut self,
        call: &Call,
        asked: &str,
    ) -> Result<Option<T>, LedgerError> {
        let Some(key) = &call.key else {
            return Ok(None);
        };
        let row = sqlx::query("SELECT asked, body FROM answers WHERE actor = $1 AND key = $2")
            .bind(call.actor.name.as_str())
            .bind(key.as_str())
            .fetch_optional(self.connection().await?)
            .await
            .map_err(LedgerError::storage("look an idempotency key up"))?;
        let Some(row) = row else { return Ok(None) };
        let read = || LedgerError::storage("read an idempotency key");
        if row.try_get::<String, _>("asked").map_err(read())? != asked {
            return Err(LedgerError::Conflict(format!(
                "the idempotency key `{key}` was used for another call: take a new key for a new call"
            )));
        }
        let body: String = row.try_get("body").map_err(read())?;
        serde_json::from_str(&body)
            .map(Some)
            .map_err(LedgerError::corrupt("answer to an idempotency key"))
    }

    /// Keeps the answer for the next call with the same key.
    pub(super) fn keep_answer<T: Serialize>(&mut self, call: &Call, asked: &str, answer: &T) {
        let Some(key) = &call.key else { return };
        let at = self.wall.millis();
        self.write(
            statement(
                "INSERT INTO answers (actor, key, asked, body, at) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(call.actor.name.as_str())
            .bind(key.as_str())
            .bind(asked)
            .bind(to_json(answer))
            .bind(at),
        );
    }
}
