//! Making and changing accounts. An account that changes loses its sessions; the last admin who can log in stays one.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::memory::{self, StoredAccount};
use super::note;
use crate::LedgerError;
use crate::accounts::{Account, AccountRole, Bounds, account_name};
use crate::ledger::key::fingerprint;
use crate::ledger::session::Session;
use crate::ledger::statement::statement;
use crate::ledger::{Call, Ledger, to_json};

/// Longest display name in characters.
const LONGEST_DISPLAY_NAME: usize = 100;

/// An account about to be made; its password is given once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// What is typed at the login: letters of any script, digits and `._-@`.
    #[schema(example = "wang.lei")]
    pub name: String,
    /// For people.
    #[serde(default)]
    #[schema(example = "王雷")]
    pub display_name: String,
    /// What it may do.
    pub role: AccountRole,
    /// Only these hazards; absent or empty: all.
    #[serde(default)]
    pub hazards: std::collections::BTreeSet<String>,
    /// Only these zones and what nests in them; absent or empty: all.
    #[serde(default)]
    pub zones: std::collections::BTreeSet<String>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    /// For people.
    pub display_name: Option<String>,
    /// What it may do.
    pub role: Option<AccountRole>,
    /// Only these hazards; empty: all.
    pub hazards: Option<std::collections::BTreeSet<String>>,
    /// Only these zones; empty: all.
    pub zones: Option<std::collections::BTreeSet<String>>,
    /// Whether it can log in.
    pub disabled: Option<bool>,
    /// The version of the account that the caller saw.
    pub version: Option<i64>,
}

impl Ledger {
    /// All accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let memory = self.people().memory();
        let accounts = memory.accounts.values();
        accounts.map(|stored| stored.account.clone()).collect()
    }

    /// Makes an account; answers it with its one-time password.
    ///
    /// # Errors
    /// If the name is not one or is taken, an admin is bound, or the database fails.
    pub async fn create_account(
        &self,
        new: &NewAccount,
        call: &Call,
    ) -> Result<(Account, String), LedgerError> {
        let name = account_name(&new.name).map_err(LedgerError::Invalid)?;
        let (password, kept) = self.one_time_password().await?;
        let at = super::wall();
        let account = Account {
            name,
            display_name: new.display_name.trim().to_owned(),
            role: new.role,
            bounds: Bounds {
                hazards: new.hazards.clone(),
                zones: new.zones.clone(),
            },
            disabled: false,
            must_change_password: true,
            version: 1,
            created_at: at,
            changed_at: at,
        };
        check(&account)?;
        let asked = fingerprint("create account", 0, new);
        let (ledger, call) = (self.clone(), call.clone());
        let account = self.change_people(async move {
            let mut session = ledger.begin().await?;
            session
                .refuse_repeated(
                    &call,
                    &asked,
                    "give the account another password, with another key",
                )
                .await?;
            if session.account(&account.name).await?.is_some() {
                return Err(LedgerError::Conflict(format!(
                    "there is an account `{}` already: take another name, or change that one",
                    account.name
                )));
            }
            session.save_account(&account, &kept);
            note(&mut session, &call.actor, "create account", &told(&account));
            session.keep_answer(&call, &asked, &account);
            session.commit().await?;
            Ok(account)
        });
        Ok((account.await?, password))
    }

    /// Changes an account; its sessions end.
    ///
    /// # Errors
    /// If there is none, the version is stale, an admin would be bound, no admin would be left, or the database
    /// fails.
    pub async fn change_account(
        &self,
        name: &str,
        change: AccountChange,
        call: &Call,
    ) -> Result<Account, LedgerError> {
        let asked = fingerprint("change account", 0, &(name, &change));
        let (ledger, call, name) = (self.clone(), call.clone(), name.to_owned());
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            if let Some(first) = session.first_answer(&call, &asked).await? {
                return Ok(first);
            }
            let stored = session.existing_account(&name).await?;
            if let Some(seen) = change.version
                && seen != stored.account.version
            {
                return Err(LedgerError::Conflict(format!(
                    "account `{name}` is at version {} and no longer at {seen}: read it again, then decide",
                    stored.account.version
                )));
            }
            let account = changed(&stored.account, change);
            check(&account)?;
            session.keep_an_admin(&account).await?;
            session.save_account(&account, &stored.password);
            session.end_sessions(&account.name);
            note(
                &mut session,
                &call.actor,
                "change account",
                &told(&account),
            );
            session.keep_answer(&call, &asked, &account);
            session.commit().await?;
            Ok(account)
        })
        .await
    }
}

fn changed(before: &Account, change: AccountChange) -> Account {
    let mut account = before.clone();
    if let Some(name) = change.display_name {
        name.trim().clone_into(&mut account.display_name);
    }
    account.role = change.role.unwrap_or(account.role);
    account.bounds = Bounds {
        hazards: change.hazards.unwrap_or(account.bounds.hazards),
        zones: change.zones.unwrap_or(account.bounds.zones),
    };
    account.disabled = change.disabled.unwrap_or(account.disabled);
    account.version += 1;
    account.changed_at = super::wall();
    account
}

fn check(account: &Account) -> Result<(), LedgerError> {
    if account.role == AccountRole::Admin && !account.bounds.is_whole() {
        return Err(LedgerError::Invalid(
            "an admin changes the whole and cannot be bound to hazards or zones: give the role operator, or no bounds"
                .to_owned(),
        ));
    }
    let length = account.display_name.chars().count();
    if length > LONGEST_DISPLAY_NAME || account.display_name.chars().any(char::is_control) {
        return Err(LedgerError::Invalid(format!(
            "a display name has at most {LONGEST_DISPLAY_NAME} characters and no control characters"
        )));
    }
    Ok(())
}

/// What the audit says of an account.
pub(super) fn told(account: &Account) -> serde_json::Value {
    json!({
        "account": account.name, "display_name": account.display_name, "role": account.role,
        "hazards": account.bounds.hazards, "zones": account.bounds.zones, "disabled": account.disabled,
    })
}

impl Session {
    pub(super) async fn account(
        &mut self,
        name: &str,
    ) -> Result<Option<StoredAccount>, LedgerError> {
        let row = sqlx::query("SELECT * FROM accounts WHERE name = $1")
            .bind(name)
            .fetch_optional(self.connection().await?)
            .await
            .map_err(LedgerError::storage("read an account"))?;
        row.as_ref().map(memory::account).transpose()
    }

    pub(super) async fn existing_account(
        &mut self,
        name: &str,
    ) -> Result<StoredAccount, LedgerError> {
        let found = self.account(name).await?;
        found.ok_or_else(|| LedgerError::missing("account", name))
    }

    pub(super) fn save_account(&mut self, account: &Account, password: &str) {
        self.write(
            statement(
                "INSERT INTO accounts (name, display_name, role, hazards, zones, password, must_change, disabled, \
                 version, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name, role = excluded.role, \
                 hazards = excluded.hazards, zones = excluded.zones, password = excluded.password, \
                 must_change = excluded.must_change, disabled = excluded.disabled, version = excluded.version, \
                 changed_at = excluded.changed_at",
            )
            .bind(account.name.as_str())
            .bind(account.display_name.as_str())
            .bind(account.role.word())
            .bind(to_json(&account.bounds.hazards))
            .bind(to_json(&account.bounds.zones))
            .bind(password)
            .bind(i16::from(account.must_change_password))
            .bind(i16::from(account.disabled))
            .bind(account.version)
            .bind(account.created_at.millis())
            .bind(account.changed_at.millis()),
        );
    }

    pub(super) fn end_sessions(&mut self, account: &str) {
        self.write(statement("DELETE FROM sessions WHERE account = $1").bind(account));
    }

    /// Refuses a change after which nobody could give rights any more.
    async fn keep_an_admin(&mut self, after: &Account) -> Result<(), LedgerError> {
        if after.role == AccountRole::Admin && !after.disabled {
            return Ok(());
        }
        let others: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND disabled = 0 AND name <> $1",
        )
        .bind(after.name.as_str())
        .fetch_one(self.connection().await?)
        .await
        .map_err(LedgerError::storage("count admins"))?;
        if others > 0 {
            return Ok(());
        }
        Err(LedgerError::Conflict(format!(
            "`{}` is the last admin who can log in: make another one first",
            after.name
        )))
    }
}
