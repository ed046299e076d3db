//! What the writer is asked for, and how appends that wait become numbered records. No I/O.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use citywatch_model::{Body, Position, Record, Time};
use tokio::sync::oneshot;

use super::{BLOCK_RECORDS, JournalError};

/// Records that want to be written together.
pub(super) struct Append {
    pub bodies: Vec<Body>,
    pub arrived: Instant,
    pub answer: oneshot::Sender<Result<Position, JournalError>>,
}

pub(super) enum Command {
    Append(Append),
    Cut(Position, oneshot::Sender<Result<Position, JournalError>>),
    Close(oneshot::Sender<()>),
}

/// Numbered records of one group, cut into blocks.
pub(super) struct Group {
    /// At most [`BLOCK_RECORDS`] each.
    pub blocks: Vec<Vec<Record>>,
    /// Position of the last record of each append.
    pub ends: Vec<Position>,
}

impl Group {
    /// Gives the bodies of each append the positions after `position`, and clocks that do not fall below
    /// `clock`: an observation's arrival, or else `now`.
    pub(super) fn number(
        appends: Vec<Vec<Body>>,
        mut position: Position,
        mut clock: Time,
        now: Time,
    ) -> Group {
        let mut records = Vec::with_capacity(appends.iter().map(Vec::len).sum());
        let mut ends = Vec::with_capacity(appends.len());
        for bodies in appends {
            for body in bodies {
                let arrival = match &body {
                    Body::Observation(observation) => observation.arrival,
                    Body::Tick
                    | Body::Start
                    | Body::Link { .. }
                    | Body::Registry(_)
                    | Body::Rules(_) => now,
                };
                position += 1;
                clock = arrival.max(clock);
                records.push(Record {
                    position,
                    clock,
                    body,
                });
            }
            ends.push(position);
        }
        let mut blocks = Vec::with_capacity(records.len().div_ceil(BLOCK_RECORDS));
        while records.len() > BLOCK_RECORDS {
            let rest = records.split_off(BLOCK_RECORDS);
            blocks.push(std::mem::replace(&mut records, rest));
        }
        blocks.push(records);
        Group { blocks, ends }
    }
}

/// `first` and all appends that wait behind it, up to a full block; another command ends the group.
pub(super) fn gather(
    first: Append,
    queue: &Receiver<Command>,
    kept: &mut Option<Command>,
) -> Vec<Append> {
    let mut records = first.bodies.len();
    let mut group = vec![first];
    while records < BLOCK_RECORDS {
        match queue.try_recv() {
            Ok(Command::Append(append)) => {
                records += append.bodies.len();
                group.push(append);
            }
            Ok(other) => {
                *kept = Some(other);
                break;
            }
            // the next receive tells which
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_does_not_fall() {
        let at = Time::from_millis;
        let appends = vec![vec![Body::Tick, Body::Start], vec![Body::Tick]];
        let group = Group::number(appends, 7, at(1_000), at(400));
        let seen: Vec<_> = group.blocks[0]
            .iter()
            .map(|record| (record.position, record.clock))
            .collect();
        assert_eq!(
            (seen, group.ends),
            (
                vec![(8, at(1_000)), (9, at(1_000)), (10, at(1_000))],
                vec![9, 10]
            )
        );
        let group = Group::number(vec![vec![Body::Tick]], 10, at(1_000), at(2_000));
        assert_eq!(group.blocks[0][0].clock, at(2_000));
    }
}
