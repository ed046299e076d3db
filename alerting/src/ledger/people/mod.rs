//! Accounts, sessions and tokens in the ledger. Memory holds all of them, so that a request is judged without asking
//! the database; it is read from the file after every change, never the other way round. A change is one transaction
//! with its act in the audit, and runs to its end even when its caller goes away.

mod accounts;
mod memory;
mod passwords;
mod sessions;
mod tokens;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use citywatch_model::Time;
use tokio::sync::watch;

use super::session::{Concerns, Session};
use super::statement::statement;
use super::{Actor, Call, Ledger, wall};
use crate::LedgerError;
use crate::accounts::{Lockout, Passwords};

pub use accounts::{AccountChange, NewAccount};
pub use sessions::{LoggedIn, LoginError, NO_SUCH_ACCOUNT, SessionInfo};
pub use tokens::{NewToken, TokenRefusal};

pub(super) use memory::Memory;

/// How long use may go unwritten, in milliseconds.
const USE_WRITTEN: i64 = 60_000;

/// Everybody who may come in, and what is remembered of those who tried.
pub(super) struct People {
    memory: RwLock<Arc<Memory>>,
    /// When sessions, by fingerprint, and tokens, by number, were used since that was written.
    used: Mutex<Used>,
    lockout: Mutex<Lockout>,
    passwords: Passwords,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Used {
    sessions: HashMap<String, Time>,
    tokens: HashMap<i64, Time>,
}

impl People {
    pub(super) fn new(memory: Memory) -> People {
        People {
            memory: RwLock::new(Arc::new(memory)),
            used: Mutex::default(),
            lockout: Mutex::default(),
            passwords: Passwords::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lockout(&self) -> std::sync::MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn people(&self) -> &People {
        &self.shared.people
    }

    /// Changes after every change of an account, a session or a token: who holds a stream open looks again whether
    /// it may.
    #[must_use]
    pub fn people_changed(&self) -> watch::Receiver<u64> {
        self.people().changed.subscribe()
    }

    /// Carries a change out to its end, then brings memory up to the file, whatever became of it.
    async fn change_people<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, LedgerError>> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ledger = self.clone();
        let ended = |_| LedgerError::storage("change an account")(sqlx::Error::WorkerCrashed);
        let work = async move {
            let changed = change.await;
            let read = ledger.read_people().await;
            let changed = changed?;
            read.map(|()| changed)
        };
        tokio::spawn(work).await.map_err(ended)?
    }

    async fn read_people(&self) -> Result<(), LedgerError> {
        // under the writer's lock, so that an older state never replaces a newer one
        let mut session = self.begin().await?;
        let memory = Memory::load(session.connection().await?).await?;
        let people = self.people();
        *people
            .memory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(memory);
        people.changed.send_modify(|version| *version += 1);
        drop(session);
        Ok(())
    }

    /// Writes when sessions and tokens were last used, and forgets sessions that are over. For the program's timer;
    /// once a minute is enough.
    ///
    /// # Errors
    /// If the database fails; what was to be written is kept for the next time.
    pub async fn settle_people(&self) -> Result<(), LedgerError> {
        let (sessions, tokens) = {
            let used = self.people().used();
            (used.sessions.clone(), used.tokens.clone())
        };
        let now = wall();
        let memory = self.people().memory();
        let over = |session: &&memory::StoredSession| self.ends_at(session) <= now;
        let over: Vec<String> = memory
            .sessions
            .values()
            .filter(over)
            .map(|session| session.id.clone())
            .collect();
        if sessions.is_empty() && tokens.is_empty() && over.is_empty() {
            return Ok(());
        }
        let ledger = self.clone();
        let written = (sessions.clone(), tokens.clone());
        self.change_people(async move {
            let mut session = ledger.begin().await?;
            write_uses(&mut session, (&written.0, &written.1), &over);
            session.commit().await
        })
        .await?;
        let mut used = self.people().used();
        used.sessions.retain(|id, at| sessions.get(id) != Some(at));
        used.tokens.retain(|id, at| tokens.get(id) != Some(at));
        Ok(())
    }
}

fn write_uses(
    session: &mut Session,
    (sessions, tokens): (&HashMap<String, Time>, &HashMap<i64, Time>),
    over: &[String],
) {
    for (id, at) in sessions {
        let sql = "UPDATE sessions SET used_at = $2 WHERE id = $1 AND used_at < $2";
        session.write(statement(sql).bind(id.as_str()).bind(at.millis()));
    }
    for (id, at) in tokens {
        let sql = "UPDATE api_tokens SET used_at = $2 WHERE id = $1";
        session.write(statement(sql).bind(*id).bind(at.millis()));
    }
    for id in over {
        session.write(statement("DELETE FROM sessions WHERE id = $1").bind(id.as_str()));
    }
}

impl Session {
    /// Refuses a call that was carried out already under its idempotency key, when its answer held a secret: secrets are
    /// not kept, so the answer cannot be given again. `way_out` says where to get another.
    async fn refuse_repeated(
        &mut self,
        call: &Call,
        asked: &str,
        way_out: &str,
    ) -> Result<(), LedgerError> {
        let first: Option<serde_json::Value> = self.first_answer(call, asked).await?;
        first.map_or(Ok(()), |_| {
            Err(LedgerError::Conflict(format!(
                "this was done already, by the first call with this idempotency key, and the secret in its answer was shown only then: if it was lost, {way_out}"
            )))
        })
    }
}

/// Writes into the audit what was done to an account or token; never a secret.
fn note(session: &mut Session, actor: &Actor, act: &str, what: &serde_json::Value) {
    session.act(actor, act, Concerns::default(), what);
}
