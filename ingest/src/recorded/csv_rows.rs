//! Rows `time,sensor_id,hazard,measurement,value,unit`, found by the names in the header. Adjacent rows of
//! one sensor and one time are one observation; a measurement that comes again starts the next.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use citywatch_model::{Name, Observation, Time, Value};

use super::ahead::Ahead;
use super::csv_lines::{CsvLines, Fields};
use super::names::NameCache;
use super::{BadRow, Batch, RecordedError, empty_observation, timestamp};
use crate::decode::plain_number;

const MAX_SENSOR_BYTES: usize = 128;
const MAX_MEASUREMENT_BYTES: usize = 64;
const MAX_UNIT_BYTES: usize = 64;
/// Observations that are handed out together.
const BATCH: usize = 1_024;

pub(super) struct CsvRows {
    file: PathBuf,
    lines: CsvLines,
    columns: Columns,
    sensors: NameCache,
    measurements: NameCache,
    units: NameCache,
    /// The time of the row before, as written and as read: neighbours mostly share it.
    last_time: (Vec<u8>, Time),
    ahead: Ahead,
    odd: Vec<BadRow>,
    open: Option<Observation>,
    ended: bool,
}

struct Columns {
    time: usize,
    sensor: usize,
    measurement: usize,
    value: usize,
    unit: Option<usize>,
}

#[derive(Clone, Copy)]
struct Row {
    time: Time,
    sensor: Name,
    value: Value,
}

impl CsvRows {
    pub(super) fn new(
        file: &Path,
        input: Box<dyn BufRead + Send>,
    ) -> Result<CsvRows, RecordedError> {
        let lines = CsvLines::new(input).map_err(|error| RecordedError::Open {
            file: file.to_owned(),
            source: error,
        })?;
        let columns = Columns::find(file, lines.line())?;
        Ok(CsvRows {
            file: file.to_owned(),
            lines,
            columns,
            sensors: NameCache::new(MAX_SENSOR_BYTES),
            measurements: NameCache::new(MAX_MEASUREMENT_BYTES),
            units: NameCache::new(MAX_UNIT_BYTES),
            last_time: (Vec::new(), Time::MIN),
            ahead: Ahead::default(),
            odd: Vec::new(),
            open: None,
            ended: false,
        })
    }

    /// About the line that was read last.
    fn bad(&self, message: String) -> BadRow {
        BadRow {
            file: self.file.clone(),
            line: self.lines.number(),
            message,
        }
    }

    /// The row that was read last.
    fn row(&mut self) -> Result<Row, String> {
        let fields = self.lines.fields()?;
        let field = |index: usize| fields.get(index).unwrap_or_default().trim_ascii();
        let time = field(self.columns.time);
        let parsed = if time == self.last_time.0.as_slice() {
            Some(self.last_time.1)
        } else {
            timestamp::parse(time)
        };
        let sensor = field(self.columns.sensor);
        let measurement = field(self.columns.measurement);
        let unit = self.columns.unit.map(field).unwrap_or_default();
        let text = field(self.columns.value);
        let wrong = match parsed {
            Some(_) if sensor.is_empty() => "sensor_id: is empty: name the sensor".to_owned(),
            Some(_) if measurement.is_empty() => {
                "measurement: is empty: name what was measured".to_owned()
            }
            None => format!(
                "time: `{}` is not a time: write RFC 3339 such as 2026-11-22T08:00:00+08:00",
                lossy(time)
            ),
            Some(time_read) => match names(
                (&mut self.sensors, sensor),
                (&mut self.measurements, measurement),
                (&mut self.units, unit),
            ) {
                Err(message) => message,
                Ok((sensor, measurement, unit)) => match number(text) {
                    Err(message) => message,
                    Ok(value) => {
                        if time != self.last_time.0.as_slice() {
                            self.last_time.0.clear();
                            self.last_time.0.extend_from_slice(time);
                            self.last_time.1 = time_read;
                        }
                        return Ok(Row {
                            time: time_read,
                            sensor,
                            value: Value {
                                measurement,
                                value,
                                unit,
                            },
                        });
                    }
                },
            },
        };
        Err(wrong)
    }

    /// Adds the row to the open observation, or gives that out and opens the next.
    fn add(&mut self, row: Row) -> Option<Observation> {
        if let Some((line, message)) = self.ahead.row(row.sensor, row.time, self.lines.number()) {
            self.odd.push(BadRow {
                line,
                ..self.bad(message)
            });
        }
        match &mut self.open {
            Some(open)
                if open.sensor == row.sensor
                    && open.time == row.time
                    && open
                        .values
                        .iter()
                        .all(|value| value.measurement != row.value.measurement) =>
            {
                open.values.push(row.value);
                None
            }
            open => {
                let mut next = empty_observation(row.sensor, row.time);
                next.values.push(row.value);
                open.replace(next)
            }
        }
    }

    /// Reads on until there is an observation, or a bad row.
    fn read_on(&mut self) -> Option<Result<Observation, BadRow>> {
        while !self.ended {
            match self.lines.read() {
                Ok(true) => match self.row() {
                    Ok(row) => {
                        if let Some(complete) = self.add(row) {
                            return Some(Ok(complete));
                        }
                    }
                    Err(wrong) => return Some(Err(self.bad(wrong))),
                },
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    let message =
                        format!("cannot be read further: {error}: what follows is missing");
                    return Some(Err(self.bad(message)));
                }
            }
        }
        self.open.take().map(Ok)
    }
}

impl Iterator for CsvRows {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch {
            observations: Vec::with_capacity(BATCH),
            ..Batch::default()
        };
        while batch.observations.len() < BATCH && batch.bad.len() < BATCH {
            match self.read_on() {
                Some(Ok(observation)) => batch.observations.push(observation),
                Some(Err(bad)) => batch.bad.push(bad),
                None => break,
            }
        }
        batch.odd = std::mem::take(&mut self.odd);
        (!batch.observations.is_empty() || !batch.bad.is_empty()).then_some(batch)
    }
}

impl Columns {
    fn find(file: &Path, header: &Fields) -> Result<Columns, RecordedError> {
        let names: Vec<String> = header
            .iter()
            .map(|name| lossy(name).trim().to_owned())
            .collect();
        let mut named = names.iter().filter(|name| !name.is_empty());
        if let Some(column) =
            named.find(|name| names.iter().filter(|other| other == name).count() > 1)
        {
            return Err(RecordedError::Twice {
                file: file.to_owned(),
                column: column.clone(),
            });
        }
        let find = |column: &'static str| names.iter().position(|name| name == column);
        let need = |column: &'static str| {
            let missing = || RecordedError::Header {
                file: file.to_owned(),
                header: names.join(","),
                column,
            };
            find(column).ok_or_else(missing)
        };
        Ok(Columns {
            time: need("time")?,
            sensor: need("sensor_id")?,
            measurement: need("measurement")?,
            value: need("value")?,
            unit: find("unit"),
        })
    }
}

type Column<'c> = (&'c mut NameCache, &'c [u8]);

fn names(
    sensor: Column<'_>,
    measurement: Column<'_>,
    unit: Column<'_>,
) -> Result<(Name, Name, Name), String> {
    let find = |what: &str, (cache, bytes): Column<'_>| {
        cache
            .find_again(bytes)
            .map_err(|wrong| format!("{what}: `{}` {wrong}", lossy(bytes)))
    };
    Ok((
        find("sensor_id", sensor)?,
        find("measurement", measurement)?,
        find("unit", unit)?,
    ))
}

fn number(text: &[u8]) -> Result<f64, String> {
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| plain_number(text).or_else(|| text.parse::<f64>().ok()));
    match parsed {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => Err(format!(
            "value: `{}` is not finite: leave the row out",
            lossy(text)
        )),
        None if text.is_empty() => Err("value: is empty: leave the row out".to_owned()),
        None => Err(format!(
            "value: `{}` is not a number: write digits with a decimal point",
            lossy(text)
        )),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
