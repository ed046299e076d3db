//! Recorded readings from files, as observations in time order: for backtests and the demo. Files are
//! streamed, never held; a bad row is reported and counted, never the end of the reading. Nothing here asks
//! for the time of day: the arrival of an observation is its event time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use citywatch_model::{Observation, Registry, Time};

mod csv_rows;
mod json_lines;
mod names;
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
}

/// Is told each bad row.
pub type OnBadRow = Box<dyn FnMut(&BadRow) + Send>;

/// How recorded data are read.
#[derive(Default)]
pub struct Options {
    /// Tells the only measurement of a sensor whose payload names none; for `.jsonl` only.
    pub registry: Arc<Registry>,
    /// Called with each bad row; without it they are only counted.
    pub on_bad_row: Option<OnBadRow>,
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
/// A file that cannot be opened, whose ending tells no format, or whose header lacks a column.
pub fn open(paths: &[PathBuf], options: Options) -> Result<Recorded, RecordedError> {
    let progress = Arc::new(Progress::default());
    let open = |path: &PathBuf| {
        Ok(Lane {
            rows: rows(path, &options.registry, &progress)?,
            next: None,
            ended: false,
        })
    };
    let lanes = paths.iter().map(open).collect::<Result<_, _>>()?;
    Ok(Recorded {
        lanes,
        progress,
        report: Report::default(),
        on_bad_row: options.on_bad_row,
    })
}

/// The observations of several files; see [`open`].
pub struct Recorded {
    lanes: Vec<Lane>,
    progress: Arc<Progress>,
    report: Report,
    on_bad_row: Option<OnBadRow>,
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
    fn fill(&mut self) {
        for lane in &mut self.lanes {
            while lane.next.is_none() && !lane.ended {
                match lane.rows.next() {
                    Some(Ok(observation)) => lane.next = Some(observation),
                    Some(Err(bad)) => {
                        self.report.bad_rows += 1;
                        if let Some(tell) = &mut self.on_bad_row {
                            tell(&bad);
                        }
                    }
                    None => lane.ended = true,
                }
            }
        }
    }
}

impl Iterator for Recorded {
    type Item = Observation;

    fn next(&mut self) -> Option<Observation> {
        self.fill();
        let time = |lane: &Lane| lane.next.as_ref().map(|observation| observation.time);
        let earliest = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.next.is_some())
            .min_by_key(|lane| time(lane))?;
        let observation = earliest.next.take()?;
        self.report.observations += 1;
        self.report.readings += observation.values.len() as u64;
        Some(observation)
    }
}

struct Lane {
    rows: Box<dyn Iterator<Item = Result<Observation, BadRow>> + Send>,
    next: Option<Observation>,
    ended: bool,
}

type Rows = Box<dyn Iterator<Item = Result<Observation, BadRow>> + Send>;

fn rows(
    path: &Path,
    registry: &Arc<Registry>,
    progress: &Arc<Progress>,
) -> Result<Rows, RecordedError> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let input = || {
        source::open(path, progress).map_err(|source| RecordedError::Open {
            file: path.to_owned(),
            source,
        })
    };
    match bare.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Ok(Box::new(csv_rows::CsvRows::new(path, input()?)?)),
        Some("jsonl" | "ndjson") => Ok(Box::new(json_lines::JsonLines::new(
            path,
            input()?,
            Arc::clone(registry),
        ))),
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
