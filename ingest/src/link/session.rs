//! What the broker is to keep for us: which subscriptions it holds by all that it has said. Knows neither wire nor
//! clock.

use std::collections::VecDeque;

use super::plan::Filter;

/// Subscriptions over all connections of a link.
pub(super) struct Session {
    filters: Vec<Filter>,
    /// The broker has confirmed them since the process started: settings may have changed before.
    confirmed: bool,
    connected_before: bool,
    /// Requests without an answer on the present connection, oldest first.
    open: VecDeque<Vec<Filter>>,
    refused: Vec<Filter>,
}

/// What an answer of the broker means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All is as it should be.
    Granted,
    /// The broker does not let us have these.
    Refused(Vec<String>),
    /// The broker grants QoS 0 only: it may lose messages.
    Weak(Vec<String>),
}

impl Session {
    pub(super) fn new(filters: Vec<Filter>) -> Session {
        Session {
            filters,
            confirmed: false,
            connected_before: false,
            open: VecDeque::new(),
            refused: Vec::new(),
        }
    }

    /// A new connection: what must be subscribed to, and whether the broker forgot what it was to keep.
    pub(super) fn connected(&mut self, session_present: bool) -> (Vec<Filter>, bool) {
        let forgotten = self.connected_before && !session_present;
        self.connected_before = true;
        self.open.clear();
        let needed = if session_present && self.confirmed {
            std::mem::take(&mut self.refused)
        } else {
            self.refused.clear();
            self.filters.clone()
        };
        (needed, forgotten)
    }

    pub(super) fn asked(&mut self, filters: Vec<Filter>) {
        self.open.push_back(filters);
    }

    /// Whether the broker owes an answer.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What was refused, to be asked for again.
    pub(super) fn take_refused(&mut self) -> Vec<Filter> {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// The answer to the oldest open request.
    pub(super) fn answered(&mut self, granted: &[Option<u8>]) -> Answer {
        let Some(asked) = self.open.pop_front() else {
            return Answer::Granted;
        };
        let mut weak = Vec::new();
        for (index, (filter, qos)) in asked.into_iter().enumerate() {
            match granted.get(index).copied().flatten() {
                None => self.refused.push((filter, qos)),
                Some(level) if level < qos => weak.push(filter),
                Some(_) => {}
            }
        }
        self.confirmed = true;
        if !self.refused.is_empty() {
            Answer::Refused(
                self.refused
                    .iter()
                    .map(|(filter, _)| filter.clone())
                    .collect(),
            )
        } else if !weak.is_empty() {
            Answer::Weak(weak)
        } else {
            Answer::Granted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(vec![("a/+".to_owned(), 1), ("b/#".to_owned(), 1)])
    }

    #[test]
    fn subscribes_at_first_and_whenever_the_broker_forgot() {
        let mut session = session();
        // settings may have changed since the session was made
        let (needed, forgotten) = session.connected(true);
        assert_eq!((needed.len(), forgotten), (2, false));
        session.asked(needed);
        assert_eq!(session.answered(&[Some(1), Some(1)]), Answer::Granted);
        assert_eq!(session.connected(true), (vec![], false));
        let (needed, forgotten) = session.connected(false);
        assert_eq!((needed.len(), forgotten), (2, true));
    }

    #[test]
    fn an_answer_that_never_came_is_asked_for_again() {
        let mut session = session();
        let (needed, _) = session.connected(false);
        session.asked(needed);
        assert!(session.is_open());
        let (needed, _) = session.connected(true);
        assert_eq!((needed.len(), session.is_open()), (2, false));
    }

    #[test]
    fn refused_and_weak_subscriptions_are_told_apart() {
        let mut session = session();
        let (needed, _) = session.connected(false);
        session.asked(needed);
        assert_eq!(
            session.answered(&[Some(1), None]),
            Answer::Refused(vec!["b/#".to_owned()])
        );
        let again = session.take_refused();
        assert_eq!(again, [("b/#".to_owned(), 1)]);
        session.asked(again);
        assert_eq!(
            session.answered(&[Some(0)]),
            Answer::Weak(vec!["b/#".to_owned()])
        );
        assert!(!session.has_refused());
    }
}
