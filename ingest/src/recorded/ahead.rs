//! Watches the rows of a file for one that lies years ahead of those around it, as a mistyped year does: every reading
//! behind it would be late. Keeps one suspect at a time, so that it costs next to nothing.

use citywatch_model::{Duration, Name, Time};

/// No recording pauses so long and then goes back.
const FAR: Duration = Duration::from_secs(366 * 86_400);

#[derive(Default)]
pub(super) struct Ahead {
    /// The time of the row before.
    last: Option<Time>,
    suspect: Option<Suspect>,
}

#[derive(Clone, Copy)]
struct Suspect {
    sensor: Name,
    time: Time,
    line: u64,
}

impl Ahead {
    /// Takes the next row. If an earlier one of the same sensor is found to lie ahead, answers its line and what to say.
    #[inline]
    pub(super) fn row(&mut self, sensor: Name, time: Time, line: u64) -> Option<(u64, String)> {
        let found = match self.suspect {
            Some(suspect) if suspect.sensor == sensor => self.suspect.take(),
            Some(_) | None => None,
        };
        if self.last.is_none_or(|last| time.since(last) > FAR) {
            self.suspect = Some(Suspect { sensor, time, line });
        }
        self.last = Some(time);
        let Suspect {
            time: ahead, line, ..
        } = found.filter(|found| found.time.since(time) > FAR)?;
        let message = format!(
            "warning: the reading of sensor `{sensor}` at {ahead} lies years ahead of its next one at {time}: its readings up to then are late and only fill windows; mend its time"
        );
        Some((line, message))
    }
}
