//! Logging in and out. A session is known by 256 random bits in a cookie, of which only the fingerprint is kept, and
//! ends by itself after a while without use, or after its longest time.

use std::net::IpAddr;

use citywatch_model::{Duration, Time};
use serde_json::json;

use super::memory::{StoredAccount, StoredSession};
use super::{USE_WRITTEN, note, wall};
use crate::LedgerError;
use crate::accounts::{Account, Secret, Wait, account_name, fingerprint, new_secret};
use crate::ledger::session::Session;
use crate::ledger::statement::statement;
use crate::ledger::{Actor, Ledger};

/// Why nobody is let in under a name that nobody has.
pub const NO_SUCH_ACCOUNT: &str = "there is no such account";
/// Sessions of one account; the oldest ends when one more begins.
const SESSIONS: usize = 20;
/// Addresses remembered of one account, and for how long.
const ADDRESSES: i64 = 50;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such account, a wrong password, or disabled: the caller is not told which.
    #[error("name or password is wrong, or the account is disabled")]
    Wrong {
        /// For the log.
        why: &'static str,
    },
    /// Too many failures.
    #[error("too many failures: try again in {} s", .0.seconds)]
    Wait(Wait),
    /// The ledger failed, or refuses the new password.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A session that has begun.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// What the cookie carries; nobody else knows it.
    pub cookie: Secret,
    /// Who.
    pub session: SessionInfo,
}

/// A session that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Who.
    pub account: Account,
    /// Fingerprint of the cookie.
    pub id: String,
    /// When it ends, unless it is used before.
    pub idle_until: Time,
    /// When it ends in any case.
    pub expires: Time,
}

impl Ledger {
    /// Lets somebody in who knows the password, at a moment of the wall clock.
    ///
    /// # Errors
    /// If the name or the password is wrong, it comes too early after failures, or the database fails.
    pub async fn log_in(
        &self,
        name: &str,
        password: &Secret,
        from: IpAddr,
        now: Time,
    ) -> Result<LoggedIn, LoginError> {
        // a name that cannot be one takes the same way, so that the answer takes the same time
        let name = account_name(name).unwrap_or_default();
        let stored = self.prove(&name, password, (from, now)).await?;
        self.begin_session(&stored.account, from).await
    }

    /// Gives the account of a session another password; it goes on in a new session, all others end.
    ///
    /// # Errors
    /// As [`Ledger::log_in`], and if the new password may not be taken.
    pub async fn change_password(
        &self,
        session: &SessionInfo,
        (present, new): (&Secret, &Secret),
        (from, actor): (IpAddr, Actor),
        now: Time,
    ) -> Result<LoggedIn, LoginError> {
        let stored = self
            .prove(&session.account.name, present, (from, now))
            .await?;
        if crate::accounts::same(present, new) {
            return Err(LedgerError::Invalid(
                "the new password is the present one: take another".to_owned(),
            )
            .into());
        }
        self.take_password(&stored.account, new, actor).await?;
        let account = self
            .people()
            .memory()
            .accounts
            .get(&stored.account.name)
            .cloned();
        let account =
            account.ok_or_else(|| LedgerError::missing("account", &session.account.name))?;
        self.begin_session(&account.account, from).await
    }

    /// The account, for who knows its password.
    async fn prove(
        &self,
        name: &str,
        password: &Secret,
        (from, now): (IpAddr, Time),
    ) -> Result<StoredAccount, LoginError> {
        let memory = self.people().memory();
        let known = memory.known.contains(&(name.to_owned(), from));
        let attempt = self.people().lockout().attempt((name, from, known), now);
        attempt.map_err(LoginError::Wait)?;
        let stored = memory.accounts.get(name);
        let kept = stored.map(|stored| stored.password.clone());
        let fits = self.people().passwords.fits(password, kept).await;
        let fits = fits.map_err(LedgerError::from)?;
        let wrong = |why| Err(LoginError::Wrong { why });
        match stored {
            None => wrong(NO_SUCH_ACCOUNT),
            Some(_) if !fits => wrong("the password is wrong"),
            Some(stored) if stored.account.disabled => wrong("the account is disabled"),
            Some(stored) => {
                self.people().lockout().succeeded(name, from);
                Ok(stored.clone())
            }
        }
    }

    async fn begin_session(&self, account: &Account, from: IpAddr) -> Result<LoggedIn, LoginError> {
        let cookie = new_secret("").map_err(LedgerError::System)?;
        let (id, at) = (fingerprint(&cookie), wall());
        let stored = StoredSession {
            id,
            account: account.name.clone(),
            created: at,
            used: at,
        };
        let session = self.info(account.clone(), &stored);
        let (ledger, seen) = (self.clone(), account.clone());
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            let present = session.existing_account(&seen.name).await?;
            if present.account.version != seen.version {
                return Err(LedgerError::Conflict(
                    "the account was changed meanwhile: log in again".to_owned(),
                ));
            }
            session.save_session(&stored, from);
            let actor = Actor {
                name: seen.name.clone(),
                role: seen.role.word().to_owned(),
                from: from.to_string(),
            };
            note(
                &mut session,
                &actor,
                "log in",
                &json!({ "account": seen.name }),
            );
            session.commit().await
        })
        .await?;
        Ok(LoggedIn {
            cookie: cookie.into(),
            session,
        })
    }

    /// The session that a cookie carries, if it holds; it counts as used.
    #[must_use]
    pub fn session(&self, cookie: &str, now: Time) -> Option<SessionInfo> {
        let id = fingerprint(cookie);
        let info = self.session_of(&id, now)?;
        let mut used = self.people().used();
        let at = used.sessions.entry(id).or_insert(now);
        *at = now.max(*at);
        Some(info)
    }

    /// The session with that fingerprint, if it holds; it does not count as used.
    #[must_use]
    pub fn session_of(&self, id: &str, now: Time) -> Option<SessionInfo> {
        let memory = self.people().memory();
        let stored = memory.sessions.get(id)?;
        let account = &memory.accounts.get(&stored.account)?.account;
        let holds = !account.disabled && now < self.ends_at(stored);
        holds.then(|| self.info(account.clone(), stored))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn log_out(&self, session: &SessionInfo, actor: Actor) -> Result<(), LedgerError> {
        let (ledger, id) = (self.clone(), session.id.clone());
        let account = session.account.name.clone();
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            session.write(statement("DELETE FROM sessions WHERE id = $1").bind(id));
            note(
                &mut session,
                &actor,
                "log out",
                &json!({ "account": account }),
            );
            session.commit().await
        })
        .await
    }

    fn info(&self, account: Account, stored: &StoredSession) -> SessionInfo {
        SessionInfo {
            account,
            id: stored.id.clone(),
            idle_until: self.ends_at(stored),
            expires: stored.created + self.shared.settings.session_longest,
        }
    }

    pub(super) fn ends_at(&self, stored: &StoredSession) -> Time {
        let settings = &self.shared.settings;
        let used = self.people().used().sessions.get(&stored.id).copied();
        // a use that was not written yet counts as long as the process lives
        let used = used.unwrap_or(stored.used).max(stored.used);
        let idle = settings.session_idle;
        (used + idle).min(stored.created + settings.session_longest)
    }

    /// Whether a use should be written soon: for the program's timer.
    #[must_use]
    pub fn use_written() -> Duration {
        Duration::from_millis(USE_WRITTEN)
    }
}

impl Session {
    fn save_session(&mut self, stored: &StoredSession, from: IpAddr) {
        let at = stored.created.millis();
        self.write(
            statement(
                "DELETE FROM sessions WHERE account = $1 AND id NOT IN \
                 (SELECT id FROM sessions WHERE account = $1 ORDER BY used_at DESC LIMIT $2)",
            )
            .bind(stored.account.as_str())
            .bind(SESSIONS as i64 - 1),
        );
        self.write(
            statement(
                "INSERT INTO sessions (id, account, created_at, used_at) VALUES ($1, $2, $3, $3)",
            )
            .bind(stored.id.as_str())
            .bind(stored.account.as_str())
            .bind(at),
        );
        self.write(
            statement(
                "INSERT INTO known_addresses (account, address, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (account, address) DO UPDATE SET at = excluded.at",
            )
            .bind(stored.account.as_str())
            .bind(from.to_string())
            .bind(at),
        );
        self.write(
            statement(
                "DELETE FROM known_addresses WHERE account = $1 AND address NOT IN \
                 (SELECT address FROM known_addresses WHERE account = $1 ORDER BY at DESC LIMIT $2)",
            )
            .bind(stored.account.as_str())
            .bind(ADDRESSES),
        );
    }
}
