//! What was in force: the versions of one rule, and what a version changed. Reads the ledger.

use std::collections::BTreeSet;

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{RuleMode, RuleVersion, Version};
use citywatch_model::Name;

use super::difference::Difference;
use super::present::bundle_of;

/// One version of a rule.
#[derive(Debug, Clone)]
pub struct RuleStep {
    /// The rule as it was from then on.
    pub rule: RuleVersion,
    /// What stood above its file.
    pub mode: Option<RuleMode>,
    /// Its own text; absent: it was removed.
    pub text: Option<String>,
    /// The version of the bundle that brought it, with who, when and why.
    pub version: Version,
}

/// The versions of a rule, the newest first, at most `limit`; removals stand between them.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn rule_steps(
    ledger: &Ledger,
    newest: &Version,
    (rule, limit): (Name, usize),
) -> Result<Vec<RuleStep>, citywatch_alerting::LedgerError> {
    let mut steps: Vec<RuleStep> = Vec::new();
    let mut next = newest.contents.rules.get(&rule).cloned();
    while let Some(entry) = next.take().filter(|_| steps.len() < limit) {
        let version = ledger.version(entry.since).await?;
        let wanted: BTreeSet<String> = entry.sha256.iter().cloned().collect();
        let texts = ledger.texts(wanted).await?;
        if entry.since > 1 {
            let before = ledger.version(entry.since - 1).await?;
            next = before.contents.rules.get(&rule).cloned();
        }
        steps.push(RuleStep {
            mode: version.contents.modes.get(&rule).cloned(),
            text: texts.into_values().next(),
            rule: entry,
            version,
        });
    }
    Ok(steps)
}

/// What `version` changed against the one before it.
///
/// # Errors
/// If the ledger cannot be read, or this program does not understand what it holds.
pub async fn difference_of(ledger: &Ledger, version: &Version) -> Result<Difference, String> {
    let bundle = bundle_of(ledger, version).await?;
    if version.id == 1 {
        return Ok(Difference::between(None, (&bundle, &version.contents)));
    }
    let before = ledger.version(version.id - 1).await;
    let before = before.map_err(|error| error.to_string())?;
    let old = bundle_of(ledger, &before).await?;
    Ok(Difference::between(
        Some((&old, &before.contents)),
        (&bundle, &version.contents),
    ))
}
