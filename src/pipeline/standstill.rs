//! Whether the road moves. Every second something goes over it, if only a tick of the service's own; a stretch
//! without means that no alert can be raised, and `/readyz`, `/metrics`, `/api/v1/status` and the log say so.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use citywatch_ingest::{Clock, Journal};
use citywatch_model::Position;
use prometheus::{Gauge, Registry};
use tokio::sync::watch;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long things have waited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standstill {
    /// The oldest accepted record that the alert book has not got.
    pub behind: Duration,
    /// The journal, for anything to come.
    pub silent: Duration,
}

impl Standstill {
    /// What is wrong, and where to look, if something has waited longer than `bearable`.
    pub fn fault(&self, bearable: Duration) -> Option<String> {
        if self.behind > bearable {
            Some(format!(
                "readings are accepted, but the alert book has not got what came {} s ago, so no alert is raised from \
                 it: the log says why (a full disk, a locked ledger, more readings than the rules can follow)",
                self.behind.as_secs()
            ))
        } else if self.silent > bearable {
            Some(format!(
                "the journal has taken nothing for {} s, not even a tick of the service's own: the log says why (a \
                 full or failing disk), or the machine's clock was set back",
                self.silent.as_secs()
            ))
        } else {
            None
        }
    }
}

/// The road, as it was last seen.
#[derive(Debug, Clone)]
pub struct Road {
    found: watch::Receiver<Standstill>,
    bearable: Duration,
}

impl Road {
    /// How long things have waited.
    pub fn standstill(&self) -> Standstill {
        *self.found.borrow()
    }

    /// What is wrong, if anything is.
    pub fn fault(&self) -> Option<String> {
        self.standstill().fault(self.bearable)
    }
}

/// Looks every second until the service stops; complains in the log about what takes longer than `bearable`.
pub fn watch(
    (journal, clock): (Journal, &Clock),
    booked: watch::Receiver<Position>,
    bearable: Duration,
    metrics: &Registry,
    mut stop: watch::Receiver<bool>,
) -> Result<Road, prometheus::Error> {
    let gauge = |name: &str, help: &str| {
        let gauge = Gauge::new(name, help)?;
        metrics.register(Box::new(gauge.clone()))?;
        Ok::<_, prometheus::Error>(gauge)
    };
    let behind = gauge(
        "citywatch_book_lag_seconds",
        "How long the oldest accepted record has waited for the alert book.",
    )?;
    let silent = gauge(
        "citywatch_journal_silent_seconds",
        "How long the journal has taken nothing, not even a tick of the service's own.",
    )?;
    let (sender, found) = watch::channel(Standstill::default());
    // a driven clock may stand still
    let ticking = !clock.is_driven();
    tokio::spawn(async move {
        let mut seen = Seen::new(Instant::now(), journal.last());
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let mut now = seen.look(Instant::now(), journal.last(), *booked.borrow());
            if !ticking {
                now.silent = Duration::ZERO;
            }
            behind.set(now.behind.as_secs_f64());
            silent.set(now.silent.as_secs_f64());
            let before = sender.send_replace(now).fault(bearable);
            match (before, now.fault(bearable)) {
                (None, Some(fault)) => tracing::error!("{fault}"),
                (Some(_), None) => tracing::warn!("the alert book has caught up"),
                _ => {}
            }
        }
    });
    Ok(Road { found, bearable })
}

/// What was seen of the road.
struct Seen {
    newest: Position,
    moved: Instant,
    /// Positions that the alert book has not got, and when each was first seen in the journal.
    waiting: VecDeque<(Position, Instant)>,
}

impl Seen {
    fn new(now: Instant, last: Position) -> Seen {
        Seen {
            newest: last,
            moved: now,
            waiting: VecDeque::from([(last, now)]),
        }
    }

    fn look(&mut self, now: Instant, last: Position, booked: Position) -> Standstill {
        if last > self.newest {
            (self.newest, self.moved) = (last, now);
            self.waiting.push_back((last, now));
        }
        while self.waiting.front().is_some_and(|(at, _)| *at <= booked) {
            self.waiting.pop_front();
        }
        let oldest = self.waiting.front().map_or(now, |(_, since)| *since);
        Standstill {
            behind: now - oldest,
            silent: now - self.moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_record_that_is_not_booked_counts() {
        let start = Instant::now();
        let mut seen = Seen::new(start, 100);
        let mut look = |after, last, booked| seen.look(start + s(after), last, booked);
        let found = |behind, silent| Standstill {
            behind: s(behind),
            silent: s(silent),
        };
        assert_eq!(look(1, 100, 60), found(1, 1), "what was there at the start");
        assert_eq!(look(2, 110, 100), found(0, 0));
        assert_eq!(look(5, 120, 105), found(3, 0), "110 since 2");
        assert_eq!(look(6, 120, 115), found(1, 1), "120 since 5");
        assert_eq!(look(7, 120, 120), found(0, 2));
        assert_eq!(look(40, 120, 120), found(0, 35), "the journal is silent");
    }

    #[test]
    fn what_is_wrong_is_told_only_after_a_while() {
        let found = |behind, silent| Standstill {
            behind: s(behind),
            silent: s(silent),
        };
        assert_eq!(found(30, 30).fault(s(30)), None);
        let told = found(31, 0).fault(s(30)).expect("it is too long");
        assert!(told.contains("31 s ago"), "{told}");
        let told = found(0, 31).fault(s(30)).expect("it is too long");
        assert!(told.contains("nothing for 31 s"), "{told}");
    }
}
