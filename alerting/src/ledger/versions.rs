//! Writing and reading versions of what is in force. A version is written once and never changed, but for the journal's
//! position, which is known only after it.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Name, Position, name};
use serde_json::Value;
use sqlx::Row;

use super::key::fingerprint;
use super::session::Concerns;
use super::statement::statement;
use super::version::{Contents, Version};
use super::{Call, Ledger, to_json};
use crate::LedgerError;

/// A version about to be written.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// Its number: one more than the newest.
    pub id: i64,
    /// What it consists of.
    pub contents: Contents,
    /// The texts that it names, by their SHA-256; those that the ledger has may be among them.
    pub texts: &'a BTreeMap<String, String>,
    /// What was asked for, such as `apply`.
    pub act: &'static str,
    /// With which arguments: what an idempotency key is bound to.
    pub asked: &'a Value,
    /// Why.
    pub reason: &'a str,
    /// What changes, for the audit and for those who follow along.
    pub change: &'a Value,
}

/// How many alerts of a rule are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenAlerts {
    /// Those that people handle.
    pub live: u64,
    /// Those in shadow.
    pub shadow: u64,
}

impl Ledger {
    /// Writes a version with its texts, its act and its event, all in one transaction.
    ///
    /// # Errors
    /// If another version was written meanwhile, the idempotency key was used for another call, or the database
    /// fails.
    pub async fn add_version(
        &self,
        new: &NewVersion<'_>,
        call: &Call,
    ) -> Result<Version, LedgerError> {
        let asked = fingerprint(new.act, 0, new.asked);
        let mut session = self.begin().await?;
        if let Some(first) = session.first_answer(call, &asked).await? {
            return Ok(first);
        }
        let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(id) FROM versions")
            .fetch_one(session.connection().await?)
            .await
            .map_err(LedgerError::storage("read the newest version"))?;
        let (seen, present) = (new.id - 1, newest.unwrap_or(0));
        if seen != present {
            return Err(LedgerError::StaleVersion { seen, present });
        }
        let version = Version {
            id: new.id,
            at: session.now,
            actor: call.actor.name.clone(),
            role: call.actor.role.clone(),
            from: call.actor.from.clone(),
            reason: new.reason.to_owned(),
            position: None,
            contents: new.contents.clone(),
        };
        for (sha256, text) in new.texts {
            session.write(
                statement("INSERT INTO texts (sha256, text) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING")
                    .bind(sha256.as_str())
                    .bind(text.as_str()),
            );
        }
        session.write(
            statement(
                "INSERT INTO versions (id, at, actor, role, origin, reason, position, body) \
                 VALUES ($1, $2, $3, $4, $5, $6, NULL, $7)",
            )
            .bind(version.id)
            .bind(version.at.millis())
            .bind(version.actor.as_str())
            .bind(version.role.as_str())
            .bind(version.from.as_str())
            .bind(version.reason.as_str())
            .bind(to_json(&version.contents)),
        );
        let told = serde_json::json!({
            "version": version.id, "actor": version.actor, "reason": version.reason, "change": new.change,
        });
        session.act(&call.actor, new.act, Concerns::default(), &told);
        session.event("version.added", &told);
        session.keep_answer(call, &asked, &version);
        session.commit().await?;
        Ok(version)
    }

    /// The first answer to a call with this idempotency key, if there was one.
    ///
    /// # Errors
    /// If the key was used for another call, or the database fails.
    pub async fn answered(
        &self,
        act: &str,
        asked: &Value,
        call: &Call,
    ) -> Result<Option<Version>, LedgerError> {
        if call.key.is_none() {
            return Ok(None);
        }
        let mut session = self.begin().await?;
        session
            .first_answer(call, &fingerprint(act, 0, asked))
            .await
    }

    /// Notes from which position of the journal the version holds.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn version_holds_from(&self, id: i64, position: Position) -> Result<(), LedgerError> {
        let mut session = self.begin().await?;
        session.write(
            statement("UPDATE versions SET position = $2 WHERE id = $1")
                .bind(id)
                .bind(i64::try_from(position).unwrap_or(i64::MAX)),
        );
        session.commit().await
    }

    /// The newest version; `None` in a new ledger.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest_version(&self) -> Result<Option<Version>, LedgerError> {
        Ok(self.versions(1, None).await?.pop())
    }

    /// The version of that number.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn version(&self, id: i64) -> Result<Version, LedgerError> {
        let mut found = self.versions(1, Some(id.saturating_add(1))).await?;
        found
            .pop()
            .filter(|version| version.id == id)
            .ok_or_else(|| LedgerError::missing("version", id))
    }

    /// At most `limit` versions, the newest first, from before number `before`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions(
        &self,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<Version>, LedgerError> {
        let mut connection = self.reader().await?;
        let rows = sqlx::query("SELECT * FROM versions WHERE id < $1 ORDER BY id DESC LIMIT $2")
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await
            .map_err(LedgerError::storage("read versions"))?;
        rows.iter().map(Version::from_row).collect()
    }

    /// The texts with these SHA-256.
    ///
    /// # Errors
    /// If one is not there, or the database fails.
    pub async fn texts(
        &self,
        wanted: BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, LedgerError> {
        let mut connection = self.reader().await?;
        let mut texts = BTreeMap::new();
        for sha256 in wanted {
            let text: Option<String> =
                sqlx::query_scalar("SELECT text FROM texts WHERE sha256 = $1")
                    .bind(sha256.as_str())
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(LedgerError::storage("read a text"))?;
            let text = text.ok_or_else(|| LedgerError::missing("text", &sha256))?;
            texts.insert(sha256, text);
        }
        Ok(texts)
    }

    /// How many alerts of each rule are open; a rule without any is absent.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open_alerts(&self) -> Result<BTreeMap<Name, OpenAlerts>, LedgerError> {
        let failed = || LedgerError::storage("count open alerts");
        let mut connection = self.reader().await?;
        let rows = sqlx::query(
            "SELECT rule, shadow, COUNT(*) AS open FROM alerts WHERE handling < 4 GROUP BY rule, shadow",
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(failed())?;
        let mut counts: BTreeMap<Name, OpenAlerts> = BTreeMap::new();
        for row in &rows {
            let rule: String = row.try_get("rule").map_err(failed())?;
            let shadow: i64 = row.try_get("shadow").map_err(failed())?;
            let open = row.try_get::<i64, _>("open").map_err(failed())?;
            let count = counts.entry(name(&rule)).or_default();
            if shadow == 0 {
                count.live = open.unsigned_abs();
            } else {
                count.shadow = open.unsigned_abs();
            }
        }
        Ok(counts)
    }
}
