//! Whether ledger and journal belong together. If one of them was deleted, or put back from another backup, the start
//! is refused until people put the other half back or say that it is lost: going on would drop every alert, or warn
//! everybody of what is long past.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use citywatch_alerting::Ledger;
use citywatch_ingest::{Clock, Journal};
use citywatch_model::{Body, Position};

use super::{StartError, failed, parts};
use crate::config::Config;
use crate::pipeline::{Pipeline, SavedStates};

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

/// Before the halves are opened for good: does what people have said with `lost` to the files. A journal that ends
/// before the ledger's position, as an older backup does, is set aside: read again it would bring back what was over
/// long ago. Links that were sent before lose their key where the ledger will give the numbers in them anew.
pub async fn prepare(
    config: &Config,
    clock: &Clock,
    http: SocketAddr,
    lost: Lost,
) -> Result<(), StartError> {
    if !lost.journal && !lost.ledger {
        return Ok(());
    }
    let folder = &config.storage.folder;
    let unseen = prometheus::Registry::new();
    let journal = parts::open_journal(config, clock, &unseen)?;
    let (end, has_readings) = (journal.last(), has_readings(&journal)?);
    journal.close().await;
    let file = std::fs::metadata(ledger_file(folder));
    let judged = if file.is_ok_and(|file| file.len() > 0) {
        let ledger = parts::open_ledger(config, clock, http, &unseen).await?;
        ledger.shutdown().await.map_err(failed)?;
        ledger.position()
    } else {
        0
    };
    if lost.journal && judged > end && end > 0 {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let aside = folder.join(format!("journal-set-aside-{now}"));
        std::fs::rename(folder.join("journal"), &aside).map_err(failed)?;
        tracing::error!(journal = %aside.display(), "the journal is older than the ledger and was set aside");
    }
    let anew = judged == 0 && has_readings || newer_state(folder, judged, end).is_some();
    if lost.ledger && anew {
        match std::fs::remove_file(folder.join("links.key")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Refuses to make a ledger beside a journal that has known another one, unless that is lost.
pub fn admit_new_ledger(folder: &Path, journal: &Journal, lost: Lost) -> Result<(), StartError> {
    if lost.ledger || ledger_file(folder).exists() || !has_readings(journal)? {
        return Ok(());
    }
    Err(no_ledger(folder, journal))
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
                 journal is lost, start once with --journal-lost: an older one is set aside, the ledger keeps its alerts, \
                 accounts and audit, and readings are judged from here on",
                ledger_file(folder).display(),
                folder.join("journal").display(),
            )));
        }
        ledger.journal_was_lost(end).await.map_err(failed)?;
        tracing::error!(
            ledger = judged,
            "the journal is lost: readings are judged from here on, windows begin anew, and alerts that were active are unwatched \
             until their rule sees a level again or somebody closes them; look through them"
        );
    } else if let Some(told) = older_ledger(folder, (judged, journal))? {
        if !lost.ledger {
            return Err(told);
        }
        ledger.itself_was_lost(end).await.map_err(failed)?;
        tracing::error!(
            ledger = judged,
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

/// Why the ledger is not the newest that the journal has known, unless it is.
fn older_ledger(
    folder: &Path,
    (judged, journal): (Position, &Journal),
) -> Result<Option<StartError>, StartError> {
    if judged == 0 && has_readings(journal)? {
        return Ok(Some(no_ledger(folder, journal)));
    }
    let newer = newer_state(folder, judged, journal.last());
    Ok(newer.map(|state| {
        let path = ledger_file(folder);
        StartError(format!(
            "the ledger {} has judged the journal up to position {judged}, but it had come to {state} at least when the engine's \
             state was saved: it was put back from an older backup, and would warn once more of what it no longer knows. Put \
             the newest {}* back, or the whole data folder of one backup. If the newest is lost, start once with \
             --ledger-lost: what the journal holds behind {judged} becomes alerts again, and nobody is warned of it",
            path.display(),
            path.display(),
        ))
    }))
}

/// A saved state of the engine between the ledger's position and the journal's end: the ledger is on disk before a state
/// is saved, so this is not the ledger of then.
fn newer_state(folder: &Path, judged: Position, end: Position) -> Option<Position> {
    let states = SavedStates::new(folder.join("engine")).positions();
    states
        .into_iter()
        .rfind(|state| (judged + 1..=end).contains(state))
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
