//! The service's own history, with the rules and sensors in force, read while no service holds the data folder.
//! The history is brought up to the journal's end, as the next start would do; nothing else is written.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use citywatch_ingest::{Clock, History, Journal, JournalConfig};
use citywatch_model::Registry;
use citywatch_rules::ast::RuleSet;

use crate::lock::{self, FolderLock, LockError};
use crate::pipeline::Facts;

/// Longer than any backtest: nothing may be written to the journal.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// A data folder that nobody else uses.
pub struct OwnHistory {
    pub rules: Arc<RuleSet>,
    pub registry: Arc<Registry>,
    pub history: History,
    _lock: FolderLock,
}

/// Opens the data folder and reads what is in force.
///
/// # Errors
/// What is wrong with the folder and what to do, ready to be shown.
pub fn open(folder: &Path) -> Result<OwnHistory, String> {
    if !folder.join("journal").is_dir() {
        return Err(format!(
            "the data folder {} holds no journal: the service has not run with this configuration; bring readings with --data",
            folder.display()
        ));
    }
    let lock = lock::take(folder).map_err(|error| match error {
        LockError::Taken(folder) => format!(
            "the service is running on the data folder {}: run this backtest through its HTTP API, or stop the service first",
            folder.display()
        ),
        LockError::Unusable { .. } => error.to_string(),
    })?;
    let metrics = prometheus::Registry::new();
    let config = JournalConfig {
        tick_after: NEVER,
        ..JournalConfig::new(folder.join("journal"))
    };
    let journal = Journal::open(config, Clock::wall(), &metrics).map_err(text)?;
    journal.stop_ticks();
    let history = History::open(folder.join("history"), &metrics).map_err(text)?;
    let facts = catch_up(&journal, &history)?;
    let rules = citywatch_rules::compile_in_force(&facts.in_force).map_err(text)?;
    Ok(OwnHistory {
        rules: Arc::new(rules),
        registry: Arc::clone(&facts.registry),
        history,
        _lock: lock,
    })
}

/// Applies what the history lacks; answers what is in force at the journal's end.
fn catch_up(journal: &Journal, history: &History) -> Result<Arc<Facts>, String> {
    let mut facts = Arc::new(Facts::default());
    let mut reader = journal.reader(journal.first().saturating_sub(1));
    while let Some(records) = reader.try_next().map_err(text)? {
        if let Some(newer) = facts.after(&records)? {
            facts = newer;
        }
        if reader.position() > history.cursor() {
            history.apply(&records).map_err(text)?;
        }
    }
    Ok(facts)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
