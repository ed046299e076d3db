//! Giving and changing passwords. What somebody else gave is good for one login, which must change it.

use serde_json::json;

use super::accounts::told;
use super::note;
use super::sessions::LoginError;
use crate::LedgerError;
use crate::accounts::{self, Account, AccountRole, Bounds, HashingError, Secret};
use crate::ledger::key::fingerprint;
use crate::ledger::{Actor, Call, Ledger};

/// The account of the first start.
const FIRST: &str = "admin";

impl From<HashingError> for LedgerError {
    fn from(error: HashingError) -> LedgerError {
        match error {
            HashingError::Busy => LedgerError::Busy(error.to_string()),
            HashingError::System(said) => LedgerError::System(said),
        }
    }
}

impl Ledger {
    /// At the very first start: the account `admin` with a one-time password, which is told to nobody else.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn first_account(&self) -> Result<Option<(Account, String)>, LedgerError> {
        if !self.people().memory().accounts.is_empty() {
            return Ok(None);
        }
        let call = Call {
            actor: Actor::service(),
            ..Call::default()
        };
        let new = super::NewAccount {
            name: FIRST.to_owned(),
            display_name: String::new(),
            role: AccountRole::Admin,
            hazards: Default::default(),
            zones: Default::default(),
        };
        self.create_account(&new, &call).await.map(Some)
    }

    /// Gives an account a one-time password; its sessions end.
    ///
    /// # Errors
    /// If there is none, or the database fails.
    pub async fn reset_password(
        &self,
        name: &str,
        call: &Call,
    ) -> Result<(Account, String), LedgerError> {
        self.give_password(name, call, "reset password", |account| account.clone())
            .await
    }

    /// For the command line of the machine itself: makes `name` an admin who can log in, with a one-time password.
    ///
    /// # Errors
    /// If there is no such account, or the database fails.
    pub async fn rescue_admin(
        &self,
        name: &str,
        call: &Call,
    ) -> Result<(Account, String), LedgerError> {
        let admin = |account: &Account| Account {
            role: AccountRole::Admin,
            disabled: false,
            bounds: Bounds::default(),
            ..account.clone()
        };
        self.give_password(name, call, "rescue admin", admin).await
    }

    async fn give_password(
        &self,
        name: &str,
        call: &Call,
        act: &'static str,
        change: impl FnOnce(&Account) -> Account + Send + 'static,
    ) -> Result<(Account, String), LedgerError> {
        let (password, kept) = self.one_time_password().await?;
        let asked = fingerprint(act, 0, &name);
        let (ledger, call, name) = (self.clone(), call.clone(), name.to_owned());
        let account = self.change_people(async move {
            let mut session = ledger.begin().await?;
            session
                .refuse_repeated(&call, &asked, "ask for another one, with another key")
                .await?;
            let stored = session.existing_account(&name).await?;
            let account = Account {
                must_change_password: true,
                version: stored.account.version + 1,
                changed_at: super::wall(),
                ..change(&stored.account)
            };
            session.save_account(&account, &kept);
            session.end_sessions(&name);
            note(&mut session, &call.actor, act, &told(&account));
            session.keep_answer(&call, &asked, &account);
            session.commit().await?;
            Ok(account)
        });
        Ok((account.await?, password))
    }

    /// An own password, by somebody who knows the present one. All sessions of the account end.
    ///
    /// # Errors
    /// If the present password is wrong, the new one may not be taken, or the database fails.
    pub(super) async fn take_password(
        &self,
        account: &Account,
        new: &Secret,
        actor: Actor,
    ) -> Result<(), LoginError> {
        accounts::check(new, [&account.name, &account.display_name])
            .map_err(LedgerError::Invalid)?;
        let kept = self
            .people()
            .passwords
            .keep(new)
            .await
            .map_err(LedgerError::from)?;
        let (ledger, seen) = (self.clone(), account.clone());
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            let stored = session.existing_account(&seen.name).await?;
            if stored.account.version != seen.version {
                return Err(LedgerError::Conflict(
                    "the account was changed meanwhile: log in again".to_owned(),
                ));
            }
            let account = Account {
                must_change_password: false,
                version: stored.account.version + 1,
                changed_at: super::wall(),
                ..stored.account
            };
            session.save_account(&account, &kept);
            session.end_sessions(&account.name);
            note(
                &mut session,
                &actor,
                "change own password",
                &json!({ "account": account.name }),
            );
            session.commit().await
        })
        .await?;
        Ok(())
    }

    /// A one-time password and what is kept of it.
    pub(super) async fn one_time_password(&self) -> Result<(String, String), LedgerError> {
        let password = accounts::one_time().map_err(LedgerError::System)?;
        let secret = Secret::from(password.clone());
        let kept = self.people().passwords.keep(&secret).await?;
        Ok((password, kept))
    }
}
