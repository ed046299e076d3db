//! All observations of a stretch of time in the order of a backtest. Rows are kept by series, so this
//! loads one window of time after the other and adapts its width to what it finds.

use citywatch_model::{Duration, Name, Observation, Time, Value};

use super::index::SeriesId;
use super::store::Row;
use super::{History, HistoryError};

/// Rows of one window, roughly: enough to pay for the seek in every series, few enough for memory.
const FEW: usize = 50_000;
const MANY: usize = 500_000;
const FIRST_WIDTH: Duration = Duration::from_secs(3_600);

/// Iterates over observations by time, then sensor. Readings of one sensor with one event time are one
/// observation. What is added while it runs may or may not be seen.
pub struct Observations {
    history: History,
    series: Vec<(Name, Name, SeriesId)>,
    next: Time,
    to: Time,
    width: Duration,
    window: std::vec::IntoIter<Observation>,
    /// Nothing more will come.
    done: bool,
}

struct Loaded {
    time: Time,
    sensor: Name,
    measurement: Name,
    row: Row,
}

impl Observations {
    pub(super) fn new(history: History, from: Time, to: Time) -> Observations {
        let series = history.inner.index.read().all_series().collect();
        let window = Vec::new().into_iter();
        Observations {
            history,
            series,
            next: from,
            to,
            width: FIRST_WIDTH,
            window,
            done: false,
        }
        .narrowed()
    }

    /// Leaves out the time before the oldest and after the newest reading. An error shows at the first
    /// window.
    fn narrowed(mut self) -> Observations {
        let ends = self.history.inner.with_store(|store| {
            let mut ends: Option<(Time, Time)> = None;
            for (_, _, series) in &self.series {
                if let (Some((oldest, _)), Some((newest, _))) =
                    (store.oldest_row(*series)?, store.newest_row(*series)?)
                {
                    let (from, to) = ends.unwrap_or((oldest, newest));
                    ends = Some((from.min(oldest), to.max(newest)));
                }
            }
            Ok(ends)
        });
        match ends {
            Ok(Some((oldest, newest))) => {
                self.next = self.next.max(oldest);
                self.to = self.to.min(newest);
            }
            Ok(None) => self.done = true,
            Err(error) => tracing::debug!(%error, "the ends of the history are unknown"),
        }
        self.done |= self.next > self.to;
        self
    }

    fn load_window(&mut self) -> Result<(), HistoryError> {
        let (end, rows) = loop {
            let end = (self.next + self.width - Duration::from_millis(1)).min(self.to);
            let rows = self.load(end)?;
            if rows.len() <= MANY || end <= self.next {
                break (end, rows);
            }
            self.width = Duration::from_millis((end.since(self.next).millis() / 2).max(1));
        };
        if rows.len() < FEW {
            self.width = self.width.times(2);
        }
        self.done = end >= self.to;
        self.next = end + Duration::from_millis(1);
        self.window = self.group(rows).into_iter();
        Ok(())
    }

    /// The rows up to `end`; gives up soon after [`MANY`] unless the window cannot be narrower.
    fn load(&self, end: Time) -> Result<Vec<Loaded>, HistoryError> {
        let divisible = end > self.next;
        self.history.inner.with_store(|store| {
            let mut rows = Vec::new();
            for (sensor, measurement, series) in &self.series {
                for row in store.rows(*series, self.next, end) {
                    let (time, row) = row?;
                    rows.push(Loaded {
                        time,
                        sensor: *sensor,
                        measurement: *measurement,
                        row,
                    });
                    if divisible && rows.len() > MANY {
                        return Ok(rows);
                    }
                }
            }
            Ok(rows)
        })
    }

    fn group(&self, mut rows: Vec<Loaded>) -> Vec<Observation> {
        rows.sort_by_key(|row| (row.time, row.sensor, row.measurement));
        let index = self.history.inner.index.read();
        let mut observations: Vec<Observation> = Vec::new();
        for Loaded {
            time,
            sensor,
            measurement,
            row,
        } in rows
        {
            let value = Value {
                measurement,
                value: row.value,
                unit: index.unit(row.unit),
            };
            match observations.last_mut() {
                Some(last) if last.time == time && last.sensor == sensor => {
                    last.values.push(value);
                    last.flags |= row.flags;
                }
                _ => observations.push(Observation {
                    sensor,
                    time,
                    arrival: Time::from_millis(time.millis().saturating_add(row.delay)),
                    flags: row.flags,
                    values: [value].into_iter().collect(),
                }),
            }
        }
        observations
    }
}

impl Iterator for Observations {
    type Item = Result<Observation, HistoryError>;

    fn next(&mut self) -> Option<Result<Observation, HistoryError>> {
        loop {
            if let Some(observation) = self.window.next() {
                return Some(Ok(observation));
            }
            if self.done {
                return None;
            }
            if let Err(error) = self.load_window() {
                self.done = true;
                return Some(Err(error));
            }
        }
    }
}
