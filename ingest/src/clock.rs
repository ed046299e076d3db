//! The service's clock: the wall clock in production, a driven one in the demo and in tests.
//! This is the only place of the crate that asks the machine for the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use citywatch_model::Time;

/// Where "now" comes from. Clones of a driven clock show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Wall,
    Driven(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn wall() -> Clock {
        Clock(Source::Wall)
    }

    /// A clock that stands at `start` until it is set.
    #[must_use]
    pub fn driven(start: Time) -> Clock {
        Clock(Source::Driven(Arc::new(AtomicI64::new(start.millis()))))
    }

    /// Whether it stands until it is set.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        matches!(self.0, Source::Driven(_))
    }

    /// The time it shows.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::Wall => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Driven(millis) => Time::from_millis(millis.load(Ordering::Acquire)),
        }
    }

    /// Moves a driven clock forward to `time`; an earlier time changes nothing, and the wall clock goes
    /// its own way.
    pub fn set(&self, time: Time) {
        match &self.0 {
            Source::Wall => {}
            Source::Driven(millis) => {
                millis.fetch_max(time.millis(), Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driven_clock_moves_forward_only_and_is_shared() {
        let clock = Clock::driven(Time::from_millis(1_000));
        let other = clock.clone();
        other.set(Time::from_millis(5_000));
        other.set(Time::from_millis(2_000));
        assert_eq!(clock.now(), Time::from_millis(5_000));
    }

    #[test]
    fn the_wall_clock_cannot_be_set() {
        let clock = Clock::wall();
        clock.set(Time::MAX);
        assert!(clock.now() < Time::MAX);
    }
}
