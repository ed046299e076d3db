//! Tokens of programs. A token is shown once, when it is made; afterwards only how it begins is known.

use std::collections::BTreeSet;

use citywatch_model::{Duration, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{USE_WRITTEN, memory, note, wall};
use crate::LedgerError;
use crate::accounts::{ApiToken, Bounds, Scope, account_name, fingerprint, new_secret};
use crate::ledger::statement::statement;
use crate::ledger::{Call, Ledger, key, next_id, to_json};

/// How every token begins.
const PREFIX: &str = "cwt_";
/// Letters of a token that stay visible.
const SHOWN: usize = 10;
/// Longest life in days.
const LONGEST_DAYS: i64 = 2 * 366;

/// A token about to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Whose it is: letters of any script, digits and `._-@`.
    #[schema(example = "siren-controller")]
    pub name: String,
    /// What for.
    pub scopes: BTreeSet<Scope>,
    /// Only these hazards; absent or empty: all.
    #[serde(default)]
    pub hazards: BTreeSet<String>,
    /// Only these zones and what nests in them; absent or empty: all.
    #[serde(default)]
    pub zones: BTreeSet<String>,
    /// From when on it is refused; at most two years ahead.
    #[schema(example = "2027-01-01T00:00:00Z")]
    pub expires: Time,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Nobody ever had it.
    #[error("the token is not known")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired: have a new one made")]
    Expired {
        /// Whose it is.
        name: String,
    },
    /// Somebody took it back.
    #[error("the token was revoked: have a new one made")]
    Revoked {
        /// Whose it is.
        name: String,
    },
}

impl Ledger {
    /// All tokens, the newest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<ApiToken> {
        let memory = self.people().memory();
        let used = self.people().used();
        let mut tokens: Vec<ApiToken> = memory.tokens.values().rev().cloned().collect();
        for token in &mut tokens {
            token.used_at = token.used_at.max(used.tokens.get(&token.id).copied());
        }
        tokens
    }

    /// The token with these letters, at a moment of the wall clock; it counts as used.
    ///
    /// # Errors
    /// If it opens nothing.
    pub fn token(&self, text: &str, now: Time) -> Result<ApiToken, TokenRefusal> {
        let memory = self.people().memory();
        let token = memory
            .by_fingerprint
            .get(&fingerprint(text))
            .and_then(|id| memory.tokens.get(id))
            .ok_or(TokenRefusal::Unknown)?;
        let name = token.name.clone();
        if token.revoked_at.is_some() {
            return Err(TokenRefusal::Revoked { name });
        }
        if now >= token.expires {
            return Err(TokenRefusal::Expired { name });
        }
        let mut used = self.people().used();
        let written = token.used_at.map_or(0, Time::millis);
        if now.millis() - written > USE_WRITTEN {
            used.tokens.insert(token.id, now);
        }
        Ok(token.clone())
    }

    /// The token of that name which opens anything, at a moment of the wall clock.
    #[must_use]
    pub fn token_named(&self, name: &str, now: Time) -> Option<ApiToken> {
        let memory = self.people().memory();
        let mut tokens = memory.tokens.values();
        let found = tokens.find(|token| token.name == name && token.is_good(now));
        found.cloned()
    }

    /// Makes a token; answers it with its letters.
    ///
    /// # Errors
    /// If the name is not one or is taken, nothing is allowed, the bounds do not go with the scopes, it would live
    /// too long, or the database fails.
    pub async fn create_token(
        &self,
        new: &NewToken,
        call: &Call,
    ) -> Result<(ApiToken, String), LedgerError> {
        let at = wall();
        check(new, at)?;
        let text = new_secret(PREFIX).map_err(LedgerError::System)?;
        let mut token = ApiToken {
            id: 0,
            name: account_name(&new.name).map_err(LedgerError::Invalid)?,
            prefix: text.chars().take(SHOWN).collect(),
            scopes: new.scopes.clone(),
            bounds: Bounds {
                hazards: new.hazards.clone(),
                zones: new.zones.clone(),
            },
            created_at: at,
            created_by: call.actor.name.clone(),
            expires: new.expires,
            used_at: None,
            revoked_at: None,
        };
        let asked = key::fingerprint("create token", 0, new);
        let (ledger, call, sha256) = (self.clone(), call.clone(), fingerprint(&text));
        let token = self.change_people(async move {
            let mut session = ledger.begin().await?;
            session
                .refuse_repeated(&call, &asked, "revoke the token and make another one, with another key")
                .await?;
            let connection = session.connection().await?;
            token.id = next_id(connection, "SELECT MAX(id) FROM api_tokens").await?;
            let same = "SELECT COUNT(*) FROM api_tokens WHERE name = $1 AND revoked_at IS NULL AND expires_at > $2";
            let same: i64 = sqlx::query_scalar(same)
                .bind(token.name.as_str())
                .bind(at.millis())
                .fetch_one(session.connection().await?)
                .await
                .map_err(LedgerError::storage("look for a token"))?;
            if same > 0 {
                return Err(LedgerError::Conflict(format!(
                    "there is a token `{}` already: revoke it, or take another name",
                    token.name
                )));
            }
            session.write(insert(&token, &sha256));
            let told = json!({
                "token": token.id, "name": token.name, "prefix": token.prefix, "scopes": token.scopes,
                "hazards": token.bounds.hazards, "zones": token.bounds.zones, "expires": token.expires,
            });
            note(&mut session, &call.actor, "create token", &told);
            session.keep_answer(&call, &asked, &token);
            session.commit().await?;
            Ok(token)
        });
        Ok((token.await?, text))
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn revoke_token(&self, id: i64, call: &Call) -> Result<ApiToken, LedgerError> {
        let asked = key::fingerprint("revoke token", id, &());
        let (ledger, call) = (self.clone(), call.clone());
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            if let Some(first) = session.first_answer(&call, &asked).await? {
                return Ok(first);
            }
            let row = sqlx::query("SELECT * FROM api_tokens WHERE id = $1")
                .bind(id)
                .fetch_optional(session.connection().await?)
                .await
                .map_err(LedgerError::storage("read a token"))?
                .ok_or_else(|| LedgerError::missing("token", id))?;
            let mut token = memory::token(&row)?;
            if token.revoked_at.is_some() {
                return Ok(token);
            }
            token.revoked_at = Some(wall());
            let sql = "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1";
            session.write(
                statement(sql)
                    .bind(id)
                    .bind(token.revoked_at.map(Time::millis)),
            );
            let told = json!({ "token": id, "name": token.name, "prefix": token.prefix });
            note(&mut session, &call.actor, "revoke token", &told);
            session.keep_answer(&call, &asked, &token);
            session.commit().await?;
            Ok(token)
        })
        .await
    }
}

fn insert(token: &ApiToken, sha256: &str) -> crate::ledger::statement::Statement {
    statement(
        "INSERT INTO api_tokens (id, name, prefix, sha256, scopes, hazards, zones, created_at, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(token.id)
    .bind(token.name.as_str())
    .bind(token.prefix.as_str())
    .bind(sha256)
    .bind(to_json(&token.scopes))
    .bind(to_json(&token.bounds.hazards))
    .bind(to_json(&token.bounds.zones))
    .bind(token.created_at.millis())
    .bind(token.created_by.as_str())
    .bind(token.expires.millis())
}

fn check(new: &NewToken, now: Time) -> Result<(), LedgerError> {
    let bound = !(new.hazards.is_empty() && new.zones.is_empty());
    let invalid = |said: &str| Err(LedgerError::Invalid(said.to_owned()));
    if new.scopes.is_empty() {
        return invalid("a token needs `scopes`: say what for");
    }
    if bound && new.scopes.contains(&Scope::Admin) {
        return invalid(
            "the scope admin changes the whole and cannot be bound to hazards or zones",
        );
    }
    if bound && new.scopes.contains(&Scope::ReadingsWrite) {
        return invalid(
            "readings are not judged by zone when they come in, so a token that brings them cannot be bound: make two tokens",
        );
    }
    if new.expires <= now {
        return invalid("`expires` lies in the past");
    }
    if new.expires > now + Duration::from_secs(LONGEST_DAYS * 86_400) {
        return invalid(
            "`expires` lies more than two years ahead, which is the longest life of a token",
        );
    }
    Ok(())
}
