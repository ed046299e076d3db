//! Accounts, sessions and tokens as they stand in the file. A value: a newer one replaces it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use citywatch_model::Time;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::LedgerError;
use crate::accounts::{Account, AccountRole, ApiToken, Bounds};

/// An account with what is kept of its password.
#[derive(Debug, Clone)]
pub(super) struct StoredAccount {
    pub account: Account,
    pub password: String,
}

/// A session as it was written last.
#[derive(Debug, Clone)]
pub(super) struct StoredSession {
    pub id: String,
    pub account: String,
    pub created: Time,
    pub used: Time,
}

/// All of it.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Memory {
    pub(super) accounts: BTreeMap<String, StoredAccount>,
    pub(super) sessions: HashMap<String, StoredSession>,
    pub(super) tokens: BTreeMap<i64, ApiToken>,
    pub(super) by_fingerprint: HashMap<String, i64>,
    pub(super) known: HashSet<(String, IpAddr)>,
}

impl Memory {
    pub(in crate::ledger) async fn load(
        connection: &mut SqliteConnection,
    ) -> Result<Memory, LedgerError> {
        let mut memory = Memory::default();
        for row in rows(connection, "SELECT * FROM accounts").await? {
            let stored = account(&row)?;
            memory.accounts.insert(stored.account.name.clone(), stored);
        }
        for row in rows(connection, "SELECT * FROM sessions").await? {
            let stored = session(&row).map_err(failed())?;
            memory.sessions.insert(stored.id.clone(), stored);
        }
        for row in rows(connection, "SELECT * FROM api_tokens").await? {
            let token = token(&row)?;
            let fingerprint = row.try_get("sha256").map_err(failed())?;
            memory.by_fingerprint.insert(fingerprint, token.id);
            memory.tokens.insert(token.id, token);
        }
        for row in rows(connection, "SELECT account, address FROM known_addresses").await? {
            let address: String = row.try_get("address").map_err(failed())?;
            if let Ok(address) = address.parse() {
                let account = row.try_get("account").map_err(failed())?;
                memory.known.insert((account, address));
            }
        }
        Ok(memory)
    }
}

fn failed() -> impl FnOnce(sqlx::Error) -> LedgerError {
    LedgerError::storage("read accounts")
}

async fn rows(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<Vec<SqliteRow>, LedgerError> {
    sqlx::query(sql)
        .fetch_all(connection)
        .await
        .map_err(failed())
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, LedgerError> {
    let text: String = row.try_get(column).map_err(failed())?;
    serde_json::from_str(&text).map_err(LedgerError::corrupt("account or token"))
}

fn bounds(row: &SqliteRow) -> Result<Bounds, LedgerError> {
    Ok(Bounds {
        hazards: json(row, "hazards")?,
        zones: json(row, "zones")?,
    })
}

fn time(row: &SqliteRow, column: &str) -> Result<Time, sqlx::Error> {
    row.try_get(column).map(Time::from_millis)
}

fn flag(row: &SqliteRow, column: &str) -> Result<bool, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|flag| flag != 0)
}

pub(super) fn account(row: &SqliteRow) -> Result<StoredAccount, LedgerError> {
    let bounds = bounds(row)?;
    let read = || -> Result<StoredAccount, sqlx::Error> {
        let role: String = row.try_get("role")?;
        let account = Account {
            name: row.try_get("name")?,
            display_name: row.try_get("display_name")?,
            // an unknown word can only come from a newer program, whose file is refused as a whole
            role: match role.as_str() {
                "admin" => AccountRole::Admin,
                "operator" => AccountRole::Operator,
                _ => AccountRole::Viewer,
            },
            bounds,
            disabled: flag(row, "disabled")?,
            must_change_password: flag(row, "must_change")?,
            version: row.try_get("version")?,
            created_at: time(row, "created_at")?,
            changed_at: time(row, "changed_at")?,
        };
        let password = row.try_get("password")?;
        Ok(StoredAccount { account, password })
    };
    read().map_err(failed())
}

fn session(row: &SqliteRow) -> Result<StoredSession, sqlx::Error> {
    Ok(StoredSession {
        id: row.try_get("id")?,
        account: row.try_get("account")?,
        created: time(row, "created_at")?,
        used: time(row, "used_at")?,
    })
}

pub(super) fn token(row: &SqliteRow) -> Result<ApiToken, LedgerError> {
    let scopes: BTreeSet<_> = json(row, "scopes")?;
    let bounds = bounds(row)?;
    let read = || -> Result<ApiToken, sqlx::Error> {
        let maybe = |column: &str| {
            row.try_get::<Option<i64>, _>(column)
                .map(|at| at.map(Time::from_millis))
        };
        Ok(ApiToken {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            prefix: row.try_get("prefix")?,
            scopes,
            bounds,
            created_at: time(row, "created_at")?,
            created_by: row.try_get("created_by")?,
            expires: time(row, "expires_at")?,
            used_at: maybe("used_at")?,
            revoked_at: maybe("revoked_at")?,
        })
    };
    read().map_err(failed())
}
