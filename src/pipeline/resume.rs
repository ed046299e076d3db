//! The engine's state between two runs of the service: which saved one a start goes on from, and the thread that
//! writes new ones.

use std::sync::Arc;
use std::time::Instant;

use citywatch_ingest::FreeSpace;
use citywatch_model::Position;
use citywatch_rules::{Engine, Epoch, Snapshot};

use super::{EngineSetup, Facts, SavedStates};

/// An engine, and from where it goes on.
pub(super) struct Resumed {
    pub(super) engine: Engine,
    pub(super) position: Position,
    pub(super) facts: Arc<Facts>,
}

/// The engine with the newest saved state that it can use, else with none; those after `committed` are removed.
pub(super) fn resumed(
    setup: &EngineSetup,
    committed: Position,
    on_epoch: impl FnMut(Epoch) + Send + Clone + 'static,
) -> Result<Resumed, String> {
    let forgotten = setup.saved.forget_after(committed);
    forgotten.map_err(|error| {
        format!(
            "cannot remove the saved states of the engine that are ahead of the alert book: {error}"
        )
    })?;
    for saved in setup.saved.usable() {
        let started = Instant::now();
        let position = saved.position;
        match Engine::resume(setup.workers, &saved.engine, Box::new(on_epoch.clone())) {
            Ok(engine) => {
                tracing::debug!(
                    position,
                    after_ms = started.elapsed().as_millis() as u64,
                    "the engine's state was loaded"
                );
                return Ok(Resumed {
                    engine,
                    position,
                    facts: saved.facts,
                });
            }
            Err(error) if error.is_rebuilt_from_journal() => {
                tracing::warn!(position, %error, "a saved state of the engine was refused");
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let engine =
        Engine::start(setup.workers, Box::new(on_epoch)).map_err(|error| error.to_string())?;
    Ok(Resumed {
        engine,
        position: 0,
        facts: Arc::default(),
    })
}

/// Writes states as they come. One that cannot be written is no loss: the journal holds everything. So none is written
/// where it would take of the free space that keeps the ledger writable.
pub(super) fn save(
    states: &SavedStates,
    space: &FreeSpace,
    to_save: &std::sync::mpsc::Receiver<(Arc<Facts>, Snapshot)>,
) {
    let mut low = false;
    for (facts, snapshot) in to_save {
        let was_low = std::mem::replace(&mut low, !space.has_room_for(snapshot.bytes.len() as u64));
        if low {
            if !was_low {
                tracing::warn!(
                    state_bytes = snapshot.bytes.len(),
                    "the engine's state is not saved while free space would fall below the mark; the next start reads more of the journal: free some space"
                );
            }
            continue;
        }
        match states.save(&facts, &snapshot) {
            Ok(()) => tracing::debug!(position = snapshot.position, "engine state saved"),
            Err(error) => {
                tracing::warn!(%error, "the engine's state cannot be saved; the next start reads more of the journal");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use citywatch_model::Time;

    use super::*;

    #[test]
    fn no_state_is_saved_where_free_space_falls_below_the_mark() {
        let snapshot = |position| Snapshot {
            position,
            clock: Time::MIN,
            bytes: vec![0; 1_000],
        };
        for (mark, saved) in [(u64::MAX, 0), (u64::MAX - 1_000, 0), (0, 2)] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("engine");
            let (sender, to_save) = std::sync::mpsc::channel();
            for position in [7, 8] {
                let sent = sender.send((Arc::default(), snapshot(position)));
                sent.expect("it is listened to");
            }
            drop(sender);
            let space = FreeSpace::new(folder.path(), mark);
            save(&SavedStates::new(path.clone()), &space, &to_save);
            let written = std::fs::read_dir(path).map_or(0, Iterator::count);
            assert_eq!(written, saved, "with a mark of {mark}");
        }
    }
}
