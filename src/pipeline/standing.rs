//! Which levels an engine holds that was built anew from the journal, at the position where the ledger stands.

use std::collections::BTreeMap;

use citywatch_model::{Name, Position, Transition, TransitionKind};

/// The levels so far.
pub(super) struct Standing {
    /// The ledger's position.
    until: Position,
    held: BTreeMap<(Name, Name), Transition>,
}

impl Standing {
    pub(super) fn new(until: Position) -> Standing {
        Standing {
            until,
            held: BTreeMap::new(),
        }
    }

    /// Follows what the engine says; what lies behind the ledger's position is no part of it.
    pub(super) fn follow(&mut self, transitions: &[Transition]) {
        let earlier = |transition: &&Transition| transition.position <= self.until;
        for transition in transitions.iter().filter(earlier) {
            let key = (transition.rule, transition.subject);
            if transition.kind == TransitionKind::Clear {
                self.held.remove(&key);
            } else {
                self.held.insert(key, transition.clone());
            }
        }
    }

    /// Whether everything up to `position` tells all of it.
    pub(super) fn is_whole_at(&self, position: Position) -> bool {
        position >= self.until
    }

    /// What began or changed each level that is held, in the order of the journal.
    pub(super) fn levels(self) -> Vec<Transition> {
        let mut levels: Vec<Transition> = self.held.into_values().collect();
        levels.sort_by_key(|transition| transition.position);
        levels
    }
}

#[cfg(test)]
mod tests {
    use citywatch_model::{Level, Time, name};

    use super::*;

    #[test]
    fn what_is_held_at_the_ledgers_position_is_told() {
        let transition = |position, kind, subject: &str, level| Transition {
            time: Time::from_millis(0),
            position,
            kind,
            rule: name("r"),
            subject: name(subject),
            level,
            value: None,
            unwatched: false,
        };
        let (raise, change, clear) = (
            TransitionKind::Raise,
            TransitionKind::Change,
            TransitionKind::Clear,
        );
        let mut standing = Standing::new(5);
        standing.follow(&[
            transition(1, raise, "a", Level::Blue),
            transition(2, raise, "b", Level::Blue),
        ]);
        assert!(!standing.is_whole_at(4));
        standing.follow(&[
            transition(4, change, "a", Level::Red),
            transition(5, clear, "b", Level::Blue),
            transition(5, raise, "c", Level::Blue),
            transition(6, clear, "a", Level::Red),
        ]);
        assert!(standing.is_whole_at(6));
        let levels = standing.levels();
        let told: Vec<_> = levels
            .iter()
            .map(|level| (level.subject.as_str(), level.level))
            .collect();
        assert_eq!(told, [("a", Level::Red), ("c", Level::Blue)]);
    }
}
