//! Where the readings of a backtest come from, with a progress bar on a terminal: files in bytes as they lie on
//! disk, the own history by event time.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use citywatch_ingest::recorded::{self, BadRow, Options, Progress, Recorded};
use citywatch_ingest::{History, Observations};
use citywatch_model::{Duration, Observation, Time};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use super::inputs::Inputs;
use crate::cli::Backtest;

/// Bad rows that are shown one by one; all are counted.
const SHOWN_BAD_ROWS: u64 = 20;
/// Observations between two looks at the bar.
const BAR_EVERY: u64 = 8_192;
/// Steps of the bar while a history is read.
const STEPS: u64 = 1_000;

/// Observations of the chosen stretch of time.
pub struct Readings {
    source: Source,
    from: Time,
    /// Not included.
    to: Time,
    read: u64,
    bar: ProgressBar,
    bad_rows: BadRows,
}

enum Source {
    Files(Box<Recorded>, Arc<Progress>),
    /// With the ends of what it holds.
    History(Box<Observations>, (Time, Time)),
}

/// How many rows could not be read, known at the end.
#[derive(Clone, Default)]
pub struct BadRows(Arc<AtomicU64>);

impl BadRows {
    pub fn told(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn teller(&self, bar: ProgressBar) -> recorded::OnBadRow {
        let count = self.clone();
        Box::new(move |row: &BadRow| {
            let told = count.0.fetch_add(1, Ordering::Relaxed);
            bar.suspend(|| match told {
                0..SHOWN_BAD_ROWS => eprintln!("{row}"),
                SHOWN_BAD_ROWS => eprintln!("more bad rows follow; they are counted"),
                _ => {}
            });
        })
    }
}

impl Readings {
    pub fn open(options: &Backtest, inputs: &Inputs) -> Result<Readings, Failure> {
        let moment = |moment: Option<crate::cli::Moment>, otherwise| {
            moment.map_or(otherwise, |moment| moment.resolve(&inputs.timezone))
        };
        let (from, to) = (
            moment(options.from, Time::MIN),
            moment(options.to, Time::MAX),
        );
        let (bar, bad_rows) = (hidden(), BadRows::default());
        let source = match &inputs.own {
            Some(own) => {
                let last = to - Duration::from_millis(1);
                let ends = ends(&own.history, (from, last)).map_err(Failure::one)?;
                bar.set_length(STEPS);
                Source::History(Box::new(own.history.observations(from, last)), ends)
            }
            None => {
                let options_read = Options {
                    registry: Arc::new(inputs.registry.clone()),
                    on_bad_row: Some(bad_rows.teller(bar.clone())),
                    threads: options.workers.into(),
                };
                let recorded = recorded::open(&options.data, options_read).map_err(Failure::one)?;
                let progress = recorded.progress();
                bar.set_length(progress.total());
                Source::Files(Box::new(recorded), progress)
            }
        };
        show(&bar);
        Ok(Readings {
            source,
            from,
            to,
            read: 0,
            bar,
            bad_rows,
        })
    }

    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    pub fn bad_rows(&self) -> BadRows {
        self.bad_rows.clone()
    }

    fn advance(&mut self, time: Time) {
        let place = match &self.source {
            Source::Files(_, progress) => progress.read(),
            Source::History(_, ends) => share(time, *ends),
        };
        self.bar.set_position(place);
    }
}

impl Iterator for Readings {
    type Item = Result<Observation, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let observation = match &mut self.source {
                Source::Files(recorded, _) => recorded.next()?,
                Source::History(observations, _) => match observations.next()? {
                    Ok(observation) => observation,
                    Err(error) => return Some(Err(error.to_string())),
                },
            };
            if self.read.is_multiple_of(BAR_EVERY) {
                self.advance(observation.time);
            }
            self.read += 1;
            if (self.from..self.to).contains(&observation.time) {
                return Some(Ok(observation));
            }
        }
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

fn hidden() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
}

/// On a terminal only; a bar without a length, as of a pipe, shows the time alone.
fn show(bar: &ProgressBar) {
    if !io::stderr().is_terminal() {
        return;
    }
    let template = match bar.length() {
        Some(0) | None => "{elapsed_precise}",
        Some(_) => "{elapsed_precise} {wide_bar} {percent}% {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
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
