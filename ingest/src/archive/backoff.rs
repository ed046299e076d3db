//! How long to wait after a failure: doubled each time, with jitter, so that many who lost the same archive do not
//! come back in one moment.

use std::time::Duration;

pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff {
            first,
            longest,
            next: first,
        }
    }

    /// The wait after one more failure; `jitter` lies in `0.0..1.0`. Half of it at least, all of it at most.
    pub(super) fn wait(&mut self, jitter: f64) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = (wait * 2).min(self.longest);
        wait.mul_f64(0.5 + jitter / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(5));
        let waits: Vec<Duration> = (0..5).map(|_| backoff.wait(1.0)).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5].map(seconds));
        assert_eq!(backoff.wait(0.0), Duration::from_millis(2_500));
        backoff.reset();
        assert_eq!(backoff.wait(1.0), seconds(1));
    }
}
