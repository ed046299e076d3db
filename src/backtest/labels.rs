//! Labelled events: what really happened, so that alerts can be judged. Reads the CSV
//! `event_id,start,end[,sensor_id][,hazard]` and tells every mistake of a file with its line.

use std::collections::HashSet;
use std::path::Path;

use citywatch_model::{Duration, Name, Time, name};

use crate::config::Problem;

/// Something that really happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique.
    pub id: String,
    /// When it began.
    pub start: Time,
    /// When it ended; not before its start.
    pub end: Time,
    /// The sensor that must tell of it; `None` for any.
    pub sensor: Option<Name>,
    /// The hazard whose rules must tell of it, such as `gas`; `None` for any.
    pub hazard: Option<Name>,
}

/// Events, and how long after its end an event may still be answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// In the order of their starts.
    pub events: Vec<Event>,
    /// Added to the end of each.
    pub grace: Duration,
}

impl Labels {
    /// `events` in any order.
    #[must_use]
    pub fn new(mut events: Vec<Event>, grace: Duration) -> Labels {
        events.sort_by(|left, right| (left.start, &left.id).cmp(&(right.start, &right.id)));
        Labels { events, grace }
    }

    /// The last moment at which an alert still answers `event`.
    #[must_use]
    pub fn end(&self, event: &Event) -> Time {
        event.end + self.grace
    }
}

/// Reads the events of `path`.
///
/// # Errors
/// Every problem of the file.
pub fn load(path: &Path) -> Result<Vec<Event>, Vec<Problem>> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => read(&file, &bytes),
        Err(error) => Err(vec![Problem {
            file,
            line: 0,
            message: format!("cannot read labels: {error}; name a CSV file with --labels"),
        }]),
    }
}

/// Reads the events of `bytes`; `file` is named in problems. Further columns are ignored.
///
/// # Errors
/// Every problem of the text.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Event>, Vec<Problem>> {
    let mut reader = Reader {
        file,
        problems: Vec::new(),
        ids: HashSet::new(),
    };
    let events = reader.events(bytes);
    if reader.problems.is_empty() {
        Ok(events)
    } else {
        Err(reader.problems)
    }
}

struct Reader<'f> {
    file: &'f str,
    problems: Vec<Problem>,
    ids: HashSet<String>,
}

struct Columns {
    id: usize,
    start: usize,
    end: usize,
    sensor: Option<usize>,
    hazard: Option<usize>,
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line,
            message,
        });
    }

    fn events(&mut self, bytes: &[u8]) -> Vec<Event> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let mut columns = None;
        let mut events = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let line = record.position().map_or(0, |place| place.line() as usize);
                    match &columns {
                        None => match self.columns(line, &record) {
                            Some(found) => columns = Some(found),
                            None => return events,
                        },
                        Some(columns) => events.extend(self.event(line, &record, columns)),
                    }
                }
                Err(error) => {
                    let line = error.position().map_or(0, |place| place.line() as usize);
                    self.problem(line, "is not UTF-8: save the file as UTF-8".to_owned());
                }
            }
        }
        if columns.is_none() && self.problems.is_empty() {
            let message =
                "is empty: write the header event_id,start,end,sensor_id and one event a line";
            self.problem(0, message.to_owned());
        }
        events
    }

    fn columns(&mut self, line: usize, header: &csv::StringRecord) -> Option<Columns> {
        let find = |column: &str| header.iter().position(|name| name == column);
        let columns = (find("event_id"), find("start"), find("end"));
        if let (Some(id), Some(start), Some(end)) = columns {
            return Some(Columns {
                id,
                start,
                end,
                sensor: find("sensor_id"),
                hazard: find("hazard"),
            });
        }
        for column in ["event_id", "start", "end"] {
            if find(column).is_none() {
                let message = format!(
                    "the header has no column {column}: write event_id,start,end,sensor_id (sensor_id may be left out)"
                );
                self.problem(line, message);
            }
        }
        None
    }

    /// All that is wrong with a row is told at once.
    fn event(&mut self, line: usize, row: &csv::StringRecord, columns: &Columns) -> Option<Event> {
        let field = |index: usize| row.get(index).unwrap_or_default();
        let before = self.problems.len();
        let id = field(columns.id);
        if id.is_empty() {
            self.problem(line, "event_id: is empty: name the event".to_owned());
        } else if !self.ids.insert(id.to_owned()) {
            let message = format!("event_id: there are two events `{id}`: rename one");
            self.problem(line, message);
        }
        let mut time = |what: &str, text: &str| {
            let time = text.parse::<Time>();
            time.map_err(|error| self.problem(line, format!("{what}: {error}")))
                .ok()
        };
        let (start, end) = (
            time("start", field(columns.start)),
            time("end", field(columns.end)),
        );
        let (start, end) = (start?, end?);
        if end < start {
            let message = format!("end: {end} lies before the start {start}: exchange them");
            self.problem(line, message);
        }
        let optional = |column: Option<usize>| {
            let text = column.map(field).filter(|text| !text.is_empty());
            text.map(name)
        };
        (self.problems.len() == before).then(|| Event {
            id: id.to_owned(),
            start,
            end,
            sensor: optional(columns.sensor),
            hazard: optional(columns.hazard),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_problem_is_told_with_its_line() {
        let text = b"event_id,start,end,sensor_id\n\
            a,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,s-1\n\
            ,yesterday,2026-01-01T01:00:00,\n\
            a,2026-01-01T02:00:00Z,2026-01-01T01:00:00Z\n\
            b,2026-01-01T02:00:00Z\n\
            \"c\xff\",2026-01-01T02:00:00Z,2026-01-01T03:00:00Z,\n\
            d,2026-01-01T02:00:00Z,2026-01-01T03:00:00Z,\n";
        let problems = read("labels.csv", text).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_file_that_is_no_labels_file_says_what_to_write() {
        let told = |text: &[u8]| -> Vec<String> {
            let problems = read("l.csv", text).unwrap_err();
            problems.iter().map(ToString::to_string).collect()
        };
        insta::assert_snapshot!(
            [told(b""), told(b"event,start,stop\n1,2,3\n")]
                .concat()
                .join("\n")
        );
    }

    #[test]
    fn further_columns_and_a_byte_order_mark_do_no_harm() {
        let text = "\u{feff}kind,end,start,event_id\nleak,2026-01-01T01:00:00+08:00, 2026-01-01T00:00:00+08:00 ,e-1\n";
        let events = read("labels.csv", text.as_bytes()).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].id.as_str(), events[0].sensor), ("e-1", None));
        assert_eq!(events[0].start.to_string(), "2025-12-31T16:00:00Z");
    }

    #[test]
    fn sensor_and_hazard_may_be_left_empty() {
        let text = "event_id,start,end,sensor_id,hazard\n\
            a,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,,gas\n\
            b,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,s-1,\n";
        let events = read("labels.csv", text.as_bytes()).unwrap();
        let told = events.iter().map(|event| (event.sensor, event.hazard));
        let expected = [(None, Some(name("gas"))), (Some(name("s-1")), None)];
        assert!(told.eq(expected), "{events:?}");
    }
}
