//! Where the readings of a backtest come from, with a progress bar on a terminal: files in bytes as they lie on
//! disk, the own history by event time.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use citywatch_ingest::recorded::{self, BadRow, Options, Progress, Recorded};
use citywatch_model::{Observation, Time};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use super::inputs::Inputs;
use crate::backtest::stretch::{STEPS, Stretch};
use crate::cli::Backtest;

/// Bad rows that are shown one by one; all are counted.
const SHOWN_BAD_ROWS: u64 = 20;
/// Observations between two looks at the bar.
const BAR_EVERY: u64 = 8_192;

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
    History(Box<Stretch>),
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
                SHOWN_BAD_ROWS => {
                    eprintln!("more such rows follow; the report counts the bad ones")
                }
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
                bar.set_length(STEPS);
                let stretch = Stretch::open(&own.history, from, to);
                Source::History(Box::new(stretch.map_err(Failure::one)?))
            }
            None => {
                let options_read = Options {
                    registry: Arc::clone(&inputs.registry),
                    on_bad_row: Some(bad_rows.teller(bar.clone())),
                    // as many are shown as of the bad ones; nobody asks for their number
                    on_odd_row: Some(BadRows::default().teller(bar.clone())),
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
            Source::History(stretch) => stretch.steps(time),
        };
        self.bar.set_position(place);
    }
}

impl Iterator for Readings {
    type Item = Result<Observation, String>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let observation = match &mut self.source {
                Source::Files(recorded, _) => recorded.next()?,
                Source::History(stretch) => match stretch.next()? {
                    Ok(observation) => observation,
                    failed => return Some(failed),
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
