//! Whether ledger and journal belong together. If one of them was deleted, or put back from another backup, the start
//! is refused until people put the other half back or say that it is lost: going on would drop every alert, or warn
//! everybody of what is long past.

use std::path::{Path, PathBuf};

use citywatch_alerting::Ledger;
use citywatch_ingest::Journal;
use citywatch_model::Body;

use super::{StartError, failed};
use crate::pipeline::Pipeline;

/// What is lost for good, as people say at a start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lost {
    pub journal: bool,
    pub ledger: bool,
}

/// Where the ledger stands.
pub fn ledger_file(folder: &Path) -> PathBuf {
    folder.join("ledger.sqlite")
}

/// Refuses to make a ledger beside a journal that has known another one, unless that is lost. Then links that were
/// sent before lose their key: the new ledger gives the numbers in them to other deliveries.
pub fn admit_new_ledger(folder: &Path, journal: &Journal, lost: Lost) -> Result<(), StartError> {
    if ledger_file(folder).exists() || !has_readings(journal)? {
        return Ok(());
    }
    if !lost.ledger {
        return Err(no_ledger(folder, journal));
    }
    match std::fs::remove_file(folder.join("links.key")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Refuses a ledger and a journal that do not belong together, unless the half that is missing is lost.
pub async fn settle(
    folder: &Path,
    journal: &Journal,
    ledger: &Ledger,
    lost: Lost,
) -> Result<(), StartError> {
    let (judged, end) = (ledger.position(), journal.last());
    if judged > end {
        if !lost.journal {
            return Err(StartError(format!(
                "the ledger {} has judged the journal up to position {judged}, but the journal {} ends at {end}: it was \
                 deleted, or put back from an older backup, and no alert would be raised before it has passed position \
                 {judged}. Put the journal back that belongs to this ledger, or the whole data folder of one backup. If the \
                 journal is lost, start once with --journal-lost: the ledger keeps its alerts, accounts and audit, and \
                 readings are judged from here on",
                ledger_file(folder).display(),
                folder.join("journal").display(),
            )));
        }
        ledger.journal_was_lost(end).await.map_err(failed)?;
        tracing::error!(
            ledger = judged,
            journal = end,
            "the journal is lost: readings are judged from its end on, windows begin anew, and alerts that were open stay open until \
             their rule says otherwise or somebody closes them; look through them"
        );
    } else if judged == 0 && has_readings(journal)? {
        if !lost.ledger {
            return Err(no_ledger(folder, journal));
        }
        ledger.itself_was_lost(end).await.map_err(failed)?;
        tracing::error!(
            journal = end,
            "the ledger is lost: its alerts are made anew from the journal, and nobody is warned of them; warnings, answers, accounts \
             and audit from before are gone, and so are changes made since the files of the bundle; look through the open alerts"
        );
    } else if lost.journal || lost.ledger {
        tracing::warn!(
            "ledger and journal belong together: --journal-lost and --ledger-lost change nothing; leave them out of the next start"
        );
    }
    Ok(())
}

fn no_ledger(folder: &Path, journal: &Journal) -> StartError {
    let path = ledger_file(folder);
    StartError(format!(
        "there is no ledger in {}, or an empty one, but the journal {} holds readings up to position {}: the ledger was \
         deleted, and its alerts, accounts and audit with it; a new one would warn of everything once more. Put all files \
         {}* of a backup in the place of those that are there. If the ledger is lost, start once with --ledger-lost: alerts \
         are made anew from the journal, and nobody is warned of what it holds already",
        path.display(),
        folder.join("journal").display(),
        journal.last(),
        path.display(),
    ))
}

/// Only readings make alerts: ticks stand in the journal of a service that could not start, too.
fn has_readings(journal: &Journal) -> Result<bool, StartError> {
    let mut reader = journal.reader(journal.first().saturating_sub(1));
    while let Some(records) = reader.try_next().map_err(failed)? {
        let mut bodies = records.iter().map(|record| &record.body);
        if bodies.any(|body| matches!(body, Body::Observation(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits until a new ledger has a position on disk. Without one it would pass for lost after a crash, so no reading
/// is taken before.
pub async fn meet(ledger: &Ledger, pipeline: &Pipeline) -> Result<(), StartError> {
    if ledger.position() > 0 {
        return Ok(());
    }
    let mut booked = pipeline.booked.clone();
    let ended = |_| StartError("the alert book has ended; the log says why".to_owned());
    booked
        .wait_for(|position| *position > 0)
        .await
        .map_err(ended)?;
    ledger.flush_position().await.map_err(failed)
}
