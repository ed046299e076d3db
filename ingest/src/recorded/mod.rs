//! Recorded readings from files, as observations in time order: for backtests and the demo. Files are
//! streamed, never held; a bad row is reported and counted, never the end of the reading. Nothing here asks
//! for the time of day: the arrival of an observation is its event time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use citywatch_model::{Observation, Registry, Time};

use crate::decode::DEFAULT_MAX_PAYLOAD;
use blocks::{Block, Blocks};

mod ahead;
mod blocks;
mod csv_lines;
mod csv_rows;
mod json_lines;
mod names;
mod several;
mod source;
mod timestamp;

pub use source::Progress;

/// Something in a file that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", .file.display())]
pub struct BadRow {
    /// Where it stands.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why recorded data cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The file cannot be opened or its first bytes not be read.
    #[error("recorded data {}: {source}: check the path and its permissions", .file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ending tells no format.
    #[error("recorded data {}: the ending tells no format: name it .csv, .jsonl or .ndjson, with .gz behind if it is compressed", .file.display())]
    Ending {
        /// The file.
        file: PathBuf,
    },
    /// The header of a CSV lacks a column.
    #[error("recorded data {}: the header `{header}` has no column {column}: write time,sensor_id,hazard,measurement,value,unit (hazard and unit may be left out)", .file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// The header as it stands.
        header: String,
        /// What is missing.
        column: &'static str,
    },
    /// The header of a CSV names a column twice.
    #[error("recorded data {}: the header names the column {column} twice: keep one of them, or give the other another name", .file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// What stands twice.
        column: String,
    },
}

/// Is told each bad row, or each odd one.
pub type OnBadRow = Box<dyn FnMut(&BadRow) + Send>;

/// How recorded data are read.
#[derive(Default)]
pub struct Options {
    /// Tells the only measurement of a sensor whose payload names none; for `.jsonl` only.
    pub registry: Arc<Registry>,
    /// Called with each bad row; without it they are only counted.
    pub on_bad_row: Option<OnBadRow>,
    /// Called with each row that is taken and yet mostly a slip, such as one with a mistyped year.
    pub on_odd_row: Option<OnBadRow>,
    /// Threads that read each `.jsonl` file; with 0 it is read where the observations are taken.
    pub threads: usize,
}

/// What has been read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Observations handed out.
    pub observations: u64,
    /// Readings in them.
    pub readings: u64,
    /// Rows that could not be taken.
    pub bad_rows: u64,
}

/// Opens `paths`; their observations come merged by time, at equal times in the order of `paths`. A row that
/// is out of order in its own file comes as it stands: late.
///
/// # Errors
/// A file that cannot be opened, whose ending tells no format, or whose header lacks a column or names one twice.
pub fn open(paths: &[PathBuf], options: Options) -> Result<Recorded, RecordedError> {
    let progress = Arc::new(Progress::default());
    let open = |path: &PathBuf| {
        Ok(Lane {
            rows: rows(path, &options, &progress)?,
            next: None,
            ready: Vec::new().into_iter(),
            ended: false,
        })
    };
    let lanes = paths.iter().map(open).collect::<Result<_, _>>()?;
    Ok(Recorded {
        lanes,
        progress,
        report: Report::default(),
        on_bad_row: options.on_bad_row,
        on_odd_row: options.on_odd_row,
    })
}

/// The observations of several files; see [`open`].
pub struct Recorded {
    lanes: Vec<Lane>,
    progress: Arc<Progress>,
    report: Report,
    on_bad_row: Option<OnBadRow>,
    on_odd_row: Option<OnBadRow>,
}

impl Recorded {
    /// What has been read so far; complete once the iterator has ended.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report
    }

    /// How far reading is; may be watched from another thread.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Makes sure that each file that has not ended shows its next observation.
    #[inline]
    fn fill(&mut self) {
        for lane in &mut self.lanes {
            while lane.next.is_none() && !lane.ended {
                lane.next = lane.ready.next();
                if lane.next.is_none() {
                    let Some(batch) = lane.read_on() else {
                        continue;
                    };
                    self.report.bad_rows += batch.bad.len() as u64;
                    tell(&batch.bad, &mut self.on_bad_row);
                    tell(&batch.odd, &mut self.on_odd_row);
                }
            }
        }
    }
}

impl Iterator for Recorded {
    type Item = Observation;

    #[inline]
    fn next(&mut self) -> Option<Observation> {
        let observation = match &mut self.lanes[..] {
            [lane] if lane.ready.len() > 0 => lane.ready.next()?,
            _ => {
                self.fill();
                let waiting = self.lanes.iter_mut().filter_map(|lane| {
                    let time = lane.next.as_ref()?.time;
                    Some((time, lane))
                });
                let (_, earliest) = waiting.min_by_key(|(time, _)| *time)?;
                earliest.next.take()?
            }
        };
        self.report.observations += 1;
        self.report.readings += observation.values.len() as u64;
        Some(observation)
    }
}

/// One file.
struct Lane {
    rows: Rows,
    next: Option<Observation>,
    ready: IntoIter<Observation>,
    ended: bool,
}

impl Lane {
    /// The next batch, its observations taken out; `None` at the end.
    #[cold]
    fn read_on(&mut self) -> Option<Batch> {
        let Some(mut batch) = self.rows.next() else {
            self.ended = true;
            return None;
        };
        self.ready = std::mem::take(&mut batch.observations).into_iter();
        Some(batch)
    }
}

fn tell(rows: &[BadRow], listener: &mut Option<OnBadRow>) {
    if let Some(tell) = listener {
        rows.iter().for_each(tell);
    }
}

/// Rows that were read together.
#[derive(Debug, Default)]
struct Batch {
    observations: Vec<Observation>,
    bad: Vec<BadRow>,
    /// Rows that were taken and look like a slip.
    odd: Vec<BadRow>,
}

type Rows = Box<dyn Iterator<Item = Batch> + Send>;

fn rows(path: &Path, options: &Options, progress: &Arc<Progress>) -> Result<Rows, RecordedError> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let unreadable = |source| RecordedError::Open {
        file: path.to_owned(),
        source,
    };
    let input = || source::open(path, progress).map_err(unreadable);
    match bare.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Ok(Box::new(csv_rows::CsvRows::new(path, input()?)?)),
        Some("jsonl" | "ndjson") => {
            let blocks = Blocks::new(input()?, DEFAULT_MAX_PAYLOAD);
            let reader = || {
                let registry = Arc::clone(&options.registry);
                let mut lines = json_lines::JsonLines::new(path.to_owned(), registry);
                move |block: &Block| lines.read(block)
            };
            if options.threads == 0 {
                let mut read = reader();
                return Ok(Box::new(blocks.map(move |block| read(&block))));
            }
            let readers = (0..options.threads).map(|_| reader());
            let several = several::read(blocks, readers).map_err(unreadable)?;
            Ok(Box::new(several))
        }
        Some(_) | None => Err(RecordedError::Ending {
            file: path.to_owned(),
        }),
    }
}

/// An observation without readings, to be filled.
fn empty_observation(sensor: citywatch_model::Name, time: Time) -> Observation {
    Observation {
        sensor,
        time,
        arrival: time,
        flags: 0,
        values: smallvec::SmallVec::new(),
    }
}

#[cfg(test)]
mod tests;
