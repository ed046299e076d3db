//! From the cells of one sensor, wherever they were written, to the sensor. Both file forms end here, so
//! that they mean the same and are checked the same.

use std::collections::BTreeMap;
use std::path::Path;

use citywatch_model::{Duration, Name, Registry, Sensor, name};

use super::problem::{Problem, Problems};

/// Columns of a registry that are not tags.
pub const KNOWN: [&str; 12] = [
    "sensor_id",
    "name",
    "lat",
    "lon",
    "zone",
    "tags",
    "measurements",
    "interval",
    "interval_alarm",
    "stale_after",
    "min",
    "max",
];

const MAX_ID_BYTES: usize = 128;

/// One sensor as it was written.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) line: u64,
    /// Known columns and further ones, without the empty.
    pub(super) cells: BTreeMap<String, String>,
    /// Tags that came as pairs.
    pub(super) tags: Vec<(String, String)>,
}

/// All rows as a registry; what cannot be used is a problem.
pub(super) fn registry(file: &Path, rows: &[Row], problems: &mut Problems) -> Registry {
    let mut registry = Registry::default();
    let mut lines: BTreeMap<Name, u64> = BTreeMap::new();
    for row in rows {
        let Some(sensor) = (Reader {
            file,
            row,
            problems,
        })
        .sensor() else {
            continue;
        };
        if let Some(first) = lines.get(&sensor.id) {
            let message = format!(
                "the sensor stands in lines {first} and {}: keep one of them",
                row.line
            );
            problems.add(
                Problem::of(file)
                    .line(row.line)
                    .field("sensor_id")
                    .value(&sensor.id)
                    .message(message),
            );
            continue;
        }
        lines.insert(sensor.id, row.line);
        registry.sensors.insert(sensor.id, sensor);
    }
    registry
}

struct Reader<'r> {
    file: &'r Path,
    row: &'r Row,
    problems: &'r mut Problems,
}

impl<'r> Reader<'r> {
    fn sensor(&mut self) -> Option<Sensor> {
        let sensor = Sensor {
            name: self.cell("name").unwrap_or_default().to_owned(),
            place: self.place(),
            zone: self.cell("zone").map(name),
            tags: self.tags(),
            measurements: self.measurements(),
            interval: self.duration("interval"),
            interval_alarm: self.duration("interval_alarm"),
            stale_after: self.duration("stale_after"),
            min: self.number("min"),
            max: self.number("max"),
            id: self.id()?,
        };
        if let (Some(min), Some(max)) = (sensor.min, sensor.max)
            && min > max
        {
            self.wrong(
                "max",
                &max.to_string(),
                format!("is below min {min}: no value would be plausible, swap them"),
            );
        }
        Some(sensor)
    }

    fn cell(&self, field: &str) -> Option<&'r str> {
        self.row.cells.get(field).map(String::as_str)
    }

    fn wrong(&mut self, field: &str, value: &str, message: impl Into<String>) {
        let problem = Problem::of(self.file)
            .line(self.row.line)
            .field(field)
            .value(value)
            .message(message);
        self.problems.add(problem);
    }

    fn id(&mut self) -> Option<Name> {
        let Some(id) = self.cell("sensor_id") else {
            let problem = Problem::of(self.file)
                .line(self.row.line)
                .field("sensor_id");
            self.problems.add(
                problem.message("is empty: every sensor needs the id that its payloads carry"),
            );
            return None;
        };
        if id.len() > MAX_ID_BYTES {
            self.wrong(
                "sensor_id",
                id,
                format!("has {} bytes: {MAX_ID_BYTES} are allowed", id.len()),
            );
            return None;
        }
        if id.chars().any(char::is_control) {
            self.wrong(
                "sensor_id",
                &id.escape_debug().to_string(),
                "holds a control character: remove it",
            );
            return None;
        }
        Some(name(id))
    }

    fn place(&mut self) -> Option<(f64, f64)> {
        let lat = self.degrees("lat", 90.0);
        let lon = self.degrees("lon", 180.0);
        match (self.cell("lat").is_some(), self.cell("lon").is_some()) {
            (true, false) => {
                self.wrong("lon", "", "is empty while lat is given: give both or none")
            }
            (false, true) => {
                self.wrong("lat", "", "is empty while lon is given: give both or none")
            }
            (true, true) | (false, false) => {}
        }
        lat.zip(lon)
    }

    fn degrees(&mut self, field: &str, most: f64) -> Option<f64> {
        let degrees = self.number(field)?;
        if degrees.abs() > most {
            let message = format!("is not between -{most} and {most}: write WGS 84 degrees");
            self.wrong(field, &degrees.to_string(), message);
            return None;
        }
        Some(degrees)
    }

    fn number(&mut self, field: &str) -> Option<f64> {
        let text = self.cell(field)?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Some(number),
            Ok(_) | Err(_) => {
                self.wrong(
                    field,
                    text,
                    "is not a number: write digits with a decimal point, such as 12.5",
                );
                None
            }
        }
    }

    fn duration(&mut self, field: &str) -> Option<Duration> {
        let text = self.cell(field)?;
        match text.parse::<Duration>() {
            Ok(duration) if duration > Duration::ZERO => Some(duration),
            Ok(_) => {
                self.wrong(
                    field,
                    text,
                    "is no time at all: write how long, such as 5m, or leave it empty",
                );
                None
            }
            Err(_) => {
                self.wrong(
                    field,
                    text,
                    "is not a duration: write 30s, 5m, 2h, or bare seconds",
                );
                None
            }
        }
    }

    fn measurements(&mut self) -> Vec<Name> {
        let mut measurements: Vec<Name> = Vec::new();
        for word in self
            .cell("measurements")
            .unwrap_or_default()
            .split([' ', ';', '|', ','])
        {
            if !word.is_empty() && !measurements.contains(&name(word)) {
                measurements.push(name(word));
            }
        }
        measurements
    }

    fn tags(&mut self) -> BTreeMap<Name, Name> {
        let mut tags = BTreeMap::new();
        let mut pairs: Vec<(String, String)> = self.row.tags.clone();
        for pair in self
            .cell("tags")
            .unwrap_or_default()
            .split([';', ' '])
            .filter(|pair| !pair.is_empty())
        {
            match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    pairs.push((key.trim().to_owned(), value.trim().to_owned()))
                }
                Some(_) | None => self.wrong(
                    "tags",
                    pair,
                    "is not a tag: write key=value, several separated by ;",
                ),
            }
        }
        let further = self
            .row
            .cells
            .iter()
            .filter(|(field, _)| !KNOWN.contains(&field.as_str()));
        pairs.extend(further.map(|(field, value)| (field.clone(), value.clone())));
        for (key, value) in pairs {
            if key == "sensor" || key == "zone" {
                let message = "this tag is made from the sensor's id and zone: choose another name";
                self.wrong(&key, &value, message);
            } else if let Some(other) = tags.insert(name(&key), name(&value))
                && other.as_str() != value
            {
                let message = format!("the tag {key} has also the value `{other}`: keep one");
                self.wrong("tags", &value, message);
            }
        }
        tags
    }
}
