//! A stretch of a history, and how far a pass over it is.

use citywatch_ingest::{History, Observations};
use citywatch_model::{Duration, Observation, Time};

/// Steps of a whole pass.
pub const STEPS: u64 = 1_000;

/// Observations of a history, and how far they are.
pub struct Stretch {
    observations: Observations,
    /// first and newest event time that it holds
    ends: (Time, Time),
}

impl Stretch {
    /// From `from` on, before `to`.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn open(history: &History, from: Time, to: Time) -> Result<Stretch, String> {
        let last = to - Duration::from_millis(1);
        Ok(Stretch {
            ends: ends(history, (from, last))?,
            observations: history.observations(from, last),
        })
    }

    /// Of [`STEPS`], when it has come to `time`.
    #[must_use]
    pub fn steps(&self, time: Time) -> u64 {
        share(time, self.ends)
    }
}

impl Iterator for Stretch {
    type Item = Result<Observation, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.observations.next()?;
        Some(read.map_err(|error| error.to_string()))
    }
}

/// Steps of the way from the first end to the last.
fn share(time: Time, (first, last): (Time, Time)) -> u64 {
    let (way, whole) = (time.since(first).millis(), last.since(first).millis());
    let steps = i128::from(STEPS.cast_signed()) * i128::from(way.clamp(0, whole.max(0)));
    u64::try_from(steps / i128::from(whole.max(1))).unwrap_or(STEPS)
}

/// The stretch of time that a history holds within `(from, to)`.
fn ends(history: &History, (from, to): (Time, Time)) -> Result<(Time, Time), String> {
    let mut newest = from;
    for sensor in history.sensors() {
        let readings = history.newest(sensor).map_err(|error| error.to_string())?;
        newest = readings
            .iter()
            .fold(newest, |newest, reading| newest.max(reading.time));
    }
    let mut observations = history.observations(from, to);
    let first = match observations.next() {
        Some(Ok(observation)) => observation.time,
        Some(Err(error)) => return Err(error.to_string()),
        None => from,
    };
    Ok((first, newest.min(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_of_a_history_goes_from_nothing_to_the_end() {
        let at = Time::from_millis;
        let ends = (at(1_000), at(3_000));
        assert_eq!(
            [0, 1_000, 1_500, 3_000, 9_000].map(|time| share(at(time), ends)),
            [0, 0, 250, STEPS, STEPS]
        );
        assert_eq!(share(at(5), (at(5), at(5))), 0, "one moment");
        assert_eq!(share(Time::MAX, (Time::MIN, Time::MAX)), STEPS);
    }
}
