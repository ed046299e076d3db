//! A change to what is in force, as it is asked for and what became of it.

use citywatch_alerting::LedgerError;
use citywatch_alerting::ledger::Version;
use serde_json::Value;

use super::difference::Difference;
use crate::bundle::{Mistake, Tested};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was sent has mistakes; what is in force stays.
    #[error("{} in what was sent; what is in force stays", count(.0.len()))]
    Mistakes(Vec<Mistake>),
    /// There is no such rule.
    #[error("{0}")]
    Missing(String),
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The ledger has it, the journal does not take it yet.
    #[error("version {0} is kept and comes into force as soon as the journal can be written: {1}")]
    Later(i64, String),
    /// Something inside failed.
    #[error("{0}")]
    Inside(String),
}

fn count(mistakes: usize) -> String {
    match mistakes {
        1 => "there is a mistake".to_owned(),
        count => format!("there are {count} mistakes"),
    }
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The word in the audit.
    pub act: &'static str,
    /// With which arguments; an idempotency key is bound to them.
    pub asked: Value,
    /// Why.
    pub reason: String,
    /// Only say what would change.
    pub dry_run: bool,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The version in force now, or the one that the first call with this key brought.
    pub version: Version,
    /// Whether anything changed, or would.
    pub changed: bool,
    /// What.
    pub difference: Difference,
    /// How the tests in the rule files came out.
    pub tested: Tested,
}
