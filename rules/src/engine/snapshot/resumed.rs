//! Engine state ready to go on: sections are read side by side, then sensors are shared out among the workers.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use citywatch_model::RulesInForce;
use ustr::UstrMap;

use super::codec::{Damaged, Kept, Reader};
use super::core::{InForce, Loaded};
use super::{SnapshotError, SnapshotHead, opened};
use crate::engine::core::{Core, Reached, Role, Share};
use crate::engine::second::Second;
use crate::engine::sensor::SensorState;

/// Engine state ready to go on.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// One for each worker.
    pub cores: Vec<Core>,
    pub second: Second,
}

impl Resumed {
    /// No rules, no sensors.
    pub(crate) fn nothing(workers: usize) -> Resumed {
        let of = workers as u64;
        let cores = (0..of).map(|index| Core::new(Share { index, of }));
        Resumed {
            cores: cores.collect(),
            second: Second::new(),
        }
    }

    /// Shares the state in `bytes` out among `workers`.
    ///
    /// # Errors
    /// If they are no snapshot that this program can read, or damaged.
    pub(crate) fn read(bytes: &[u8], workers: usize) -> Result<Resumed, SnapshotError> {
        let (head, sections) = opened(bytes)?;
        let [in_force, programs, second, sensors @ ..] = &sections[..] else {
            return Err(Damaged("a section is missing".to_owned()).into());
        };
        let mut in_force = read_in_force(in_force, head)?;
        let template = core_of(Share::WHOLE, &in_force, programs)?;
        let mut loaded = side_by_side(sensors, |section| {
            template.read_sensors(&mut Reader::new(section)?)
        })?;
        // no place hangs on who wrote it
        loaded.sort_by_key(|sensor| sensor.state.id);
        let mut profiles = UstrMap::default();
        for Loaded { state, registered } in &loaded {
            if *registered {
                in_force.limits.insert(state.id, state.profile.limits);
                profiles.insert(state.id, state.profile.clone());
            }
        }
        let mut shares: Vec<(Share, Vec<SensorState>)> = (0..workers as u64)
            .map(|index| {
                (
                    Share {
                        index,
                        of: workers as u64,
                    },
                    Vec::new(),
                )
            })
            .collect();
        for Loaded { state, .. } in loaded {
            if let Some((_, held)) = shares.iter_mut().find(|(share, _)| share.holds(state.id)) {
                held.push(state);
            }
        }
        thread::scope(|scope| {
            let in_force = &in_force;
            let second = scope.spawn(move || Second::read(second, in_force, profiles));
            let adopt = |(share, held): (Share, Vec<SensorState>)| {
                let mut core = core_of(share, in_force, programs)?;
                held.into_iter().try_for_each(|state| core.adopt(state))?;
                Ok(core)
            };
            let cores = shares
                .into_iter()
                .map(adopt)
                .collect::<Result<_, Damaged>>()?;
            let second = joined(second)?;
            Ok(Resumed { cores, second })
        })
    }
}

/// What `read` makes of each section, one after the other, on as many threads as the machine has processors.
fn side_by_side<T: Send>(
    sections: &[&[u8]],
    read: impl Fn(&[u8]) -> Result<Vec<T>, Damaged> + Sync,
) -> Result<Vec<T>, Damaged> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let most = sections.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let read = &read;
        let some = |sections: &'_ [&[u8]]| {
            let read: Vec<Vec<T>> = sections
                .iter()
                .map(|section| read(section))
                .collect::<Result<_, Damaged>>()?;
            Ok(read)
        };
        let threads: Vec<_> = sections
            .chunks(most)
            .map(|sections| scope.spawn(move || some(sections)))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            joined(thread)?
                .into_iter()
                .for_each(|read: Vec<T>| all.extend(read));
        }
        Ok(all)
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, Damaged>>) -> Result<T, Damaged> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn core_of(share: Share, in_force: &InForce, section: &[u8]) -> Result<Core, Damaged> {
    let mut from = Reader::new(section)?;
    let core = Core::resumed((share, Role::First), in_force, &mut from)?;
    from.end()?;
    Ok(core)
}

fn read_in_force(section: &[u8], head: SnapshotHead) -> Result<InForce, SnapshotError> {
    let mut from = Reader::new(section)?;
    let sources: RulesInForce = Kept::read(&mut from)?;
    let sources = Arc::new(sources);
    let resumed = Kept::read(&mut from)?;
    let zones = Kept::read(&mut from)?;
    from.end()?;
    let rules = crate::in_force::for_engine(&sources)
        .map_err(|problems| SnapshotError::Rules { problems })?;
    let SnapshotHead { position, clock } = head;
    Ok(InForce {
        rules: Arc::new(rules),
        sources,
        zones,
        reached: Reached {
            position,
            clock,
            resumed,
        },
        limits: UstrMap::default(),
    })
}
