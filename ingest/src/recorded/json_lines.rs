//! Citywatch JSON, one payload a line. Each object is one observation; it must name its time.

use std::path::PathBuf;
use std::sync::Arc;

use citywatch_model::{Name, NameMap, Observation, Registry, Time, Value, name};
use smallvec::SmallVec;

use super::ahead::Ahead;
use super::blocks::Block;
use super::names::NameCache;
use super::{BadRow, Batch, empty_observation, timestamp};
use crate::decode::{
    Context, DEFAULT_MAX_PAYLOAD, DEFAULT_MEASUREMENT, DecodedObservation, Format, decode,
    plain_reading,
};
use crate::rejected::{Reason, Rejection};

const MAX_SENSOR_BYTES: usize = 128;
const MAX_NAME_BYTES: usize = 64;
/// Bytes of a line, about; only to reserve room.
const USUAL_LINE: usize = 48;

/// Reads blocks of lines.
pub(super) struct JsonLines {
    file: PathBuf,
    registry: Arc<Registry>,
    names: Names,
    /// What a sensor measures that does not say it.
    unsaid: NameMap<Name>,
}

struct Names {
    sensors: NameCache,
    measurements: NameCache,
    units: NameCache,
}

impl JsonLines {
    /// Reads lines of `file`.
    pub(super) fn new(file: PathBuf, registry: Arc<Registry>) -> JsonLines {
        let names = Names {
            sensors: NameCache::new(MAX_SENSOR_BYTES),
            measurements: NameCache::new(MAX_NAME_BYTES),
            units: NameCache::new(MAX_NAME_BYTES),
        };
        JsonLines {
            file,
            registry,
            names,
            unsaid: NameMap::default(),
        }
    }

    /// What the lines of a block give.
    pub(super) fn read(&mut self, block: &Block) -> Batch {
        let mut batch = Batch {
            observations: Vec::with_capacity(block.bytes.len() / USUAL_LINE),
            ..Batch::default()
        };
        // blocks are read apart from each other
        let (mut ahead, mut taken) = (Ahead::default(), 0);
        let mut number = block.line;
        match std::str::from_utf8(&block.bytes) {
            Ok(mut text) => {
                while !text.is_empty() {
                    let length = match self.plain(text) {
                        Some((plain, length)) => {
                            batch.observations.push(plain);
                            length
                        }
                        None => {
                            let line = text.split('\n').next().unwrap_or_default();
                            self.read_line(line.as_bytes(), number, &mut batch);
                            line.len()
                        }
                    };
                    text = text.get(length + 1..).unwrap_or_default();
                    if batch.observations.len() > taken {
                        taken = batch.observations.len();
                        self.look_ahead(&mut ahead, number, &mut batch);
                    }
                    number += 1;
                }
            }
            Err(_) => {
                let text = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
                for line in text.split(|byte| *byte == b'\n') {
                    self.read_line(line, number, &mut batch);
                    number += 1;
                }
            }
        }
        if let Some(error) = &block.failed {
            let message = format!("cannot be read further: {error}: what follows is missing");
            batch.bad.push(self.bad(number, message));
        }
        batch
    }

    /// Of a line of several observations the last stands for all.
    #[inline]
    fn look_ahead(&self, ahead: &mut Ahead, number: u64, batch: &mut Batch) {
        let Some(last) = batch.observations.last() else {
            return;
        };
        if let Some((line, message)) = ahead.row(last.sensor, last.time, number) {
            batch.odd.push(self.bad(line, message));
        }
    }

    fn bad(&self, line: u64, message: String) -> BadRow {
        BadRow {
            file: self.file.clone(),
            line,
            message,
        }
    }

    /// The observation in the first line, if it is as nearly all are, and the length of the line.
    #[inline]
    fn plain(&mut self, text: &str) -> Option<(Observation, usize)> {
        let (plain, length) =
            plain_reading(text).filter(|(_, length)| *length <= DEFAULT_MAX_PAYLOAD)?;
        if !timestamp::is_within(plain.time) {
            return None;
        }
        let names = &mut self.names;
        let sensor = names.sensors.find(plain.sensor.as_bytes()).ok()?;
        let measurement = match plain.measurement.filter(|name| !name.is_empty()) {
            Some(measurement) => names.measurements.find_again(measurement.as_bytes()).ok()?,
            None => self.unsaid(sensor),
        };
        let unit = self.names.units.find_again(plain.unit.as_bytes()).ok()?;
        let value = Value {
            measurement,
            value: plain.value,
            unit,
        };
        let observation = Observation {
            values: SmallVec::from_buf([value]),
            ..empty_observation(sensor, plain.time)
        };
        Some((observation, length))
    }

    fn unsaid(&mut self, sensor: Name) -> Name {
        let registry = &self.registry;
        *self.unsaid.entry(sensor).or_insert_with(|| {
            let registered = registry.sensors.get(&sensor);
            match registered.map(|sensor| &sensor.measurements[..]) {
                Some([only]) => *only,
                Some(_) | None => name(DEFAULT_MEASUREMENT),
            }
        })
    }

    fn read_line(&mut self, line: &[u8], number: u64, batch: &mut Batch) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if line.len() > DEFAULT_MAX_PAYLOAD {
            let message = format!(
                "the line is longer than {DEFAULT_MAX_PAYLOAD} bytes: write smaller arrays"
            );
            batch.bad.push(self.bad(number, message));
            return;
        }
        let decoded = decode(Format::Citywatch, line, &context(&self.registry));
        for rejection in &decoded.rejected {
            batch.bad.push(self.bad(number, rejection.to_string()));
        }
        for observation in &decoded.observations {
            match self.names.observation(observation) {
                Ok(observation) => batch.observations.push(observation),
                Err(message) => batch.bad.push(self.bad(number, message)),
            }
        }
    }
}

fn context(registry: &Registry) -> Context<'_> {
    Context {
        sensor: None,
        measurement: None,
        arrival: Time::MIN,
        registry,
        max_payload: DEFAULT_MAX_PAYLOAD,
    }
}

/// Live, such a reading is taken with the time of its arrival, and flagged; recorded ones have nothing else to go by.
fn beyond(decoded: &DecodedObservation<'_>) -> Rejection {
    Rejection {
        index: decoded.index,
        reason: Reason::BadTime,
        detail: format!(
            "`ts` of sensor `{}` lies outside the years 0 to 9999: write seconds or milliseconds since 1970, not micro- or nanoseconds",
            decoded.sensor
        ),
    }
}

impl Names {
    #[inline]
    fn observation(&mut self, decoded: &DecodedObservation<'_>) -> Result<Observation, String> {
        let wrong = |what: &str, text: &str, wrong: String| format!("{what}: `{text}` {wrong}");
        let sensor = (self.sensors.find(decoded.sensor.as_bytes()))
            .map_err(|found| wrong("sensor", &decoded.sensor, found))?;
        let time = decoded
            .time
            .ok_or("there is no `ts`: recorded readings need their time")?;
        if !timestamp::is_within(time) {
            return Err(beyond(decoded).to_string());
        }
        let mut observation = empty_observation(sensor, time);
        for value in &decoded.values {
            let measurement = (self.measurements.find_again(value.measurement.as_bytes()))
                .map_err(|found| wrong("measurement", &value.measurement, found))?;
            let unit = (self.units.find_again(value.unit.as_bytes()))
                .map_err(|found| wrong("unit", &value.unit, found))?;
            observation.values.push(Value {
                measurement,
                value: value.value,
                unit,
            });
        }
        Ok(observation)
    }
}
