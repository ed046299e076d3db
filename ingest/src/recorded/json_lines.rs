//! Citywatch JSON, one payload a line. Each object is one observation; it must name its time.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use citywatch_model::{Observation, Registry, Time, Value};

use super::names::NameCache;
use super::{BadRow, empty_observation};
use crate::decode::{Context, DEFAULT_MAX_PAYLOAD, DecodedObservation, Format, decode};

const MAX_SENSOR_BYTES: usize = 128;
const MAX_NAME_BYTES: usize = 64;

pub(super) struct JsonLines {
    file: PathBuf,
    input: Box<dyn BufRead + Send>,
    registry: Arc<Registry>,
    line: u64,
    buffer: Vec<u8>,
    names: Names,
    ready: IntoIter<Result<Observation, BadRow>>,
    ended: bool,
}

struct Names {
    sensors: NameCache,
    others: NameCache,
}

impl JsonLines {
    pub(super) fn new(
        file: &Path,
        input: Box<dyn BufRead + Send>,
        registry: Arc<Registry>,
    ) -> JsonLines {
        let names = Names {
            sensors: NameCache::new(MAX_SENSOR_BYTES),
            others: NameCache::new(MAX_NAME_BYTES),
        };
        JsonLines {
            file: file.to_owned(),
            input,
            registry,
            line: 0,
            buffer: Vec::new(),
            names,
            ready: Vec::new().into_iter(),
            ended: false,
        }
    }

    fn bad(&self, message: String) -> BadRow {
        BadRow {
            file: self.file.clone(),
            line: self.line,
            message,
        }
    }

    /// Reads one line into the buffer; of a line beyond the limit only so much that it is seen to be so.
    fn read_line(&mut self) -> std::io::Result<bool> {
        let most = DEFAULT_MAX_PAYLOAD as u64 + 1;
        self.buffer.clear();
        self.line += 1;
        let read = self
            .input
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.buffer)?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if read as u64 == most {
            skip_line(&mut self.input)?;
        }
        Ok(read > 0)
    }

    /// What the line in the buffer gives: the first of it at once, the rest is made ready.
    fn take_line(&mut self) -> Option<Result<Observation, BadRow>> {
        let context = Context {
            sensor: None,
            measurement: None,
            arrival: Time::MIN,
            registry: &self.registry,
            max_payload: DEFAULT_MAX_PAYLOAD,
        };
        let decoded = decode(Format::Citywatch, &self.buffer, &context);
        let names = &mut self.names;
        let bad = |message| BadRow {
            file: self.file.clone(),
            line: self.line,
            message,
        };
        // nearly every line
        if let ([observation], []) = (&decoded.observations[..], &decoded.rejected[..]) {
            return Some(names.observation(observation).map_err(bad));
        }
        let rejected = decoded
            .rejected
            .iter()
            .map(|rejection| Err(rejection.to_string()));
        let observations = decoded
            .observations
            .iter()
            .map(|observation| names.observation(observation));
        let taken: Vec<_> = rejected
            .chain(observations)
            .map(|taken| taken.map_err(bad))
            .collect();
        self.ready = taken.into_iter();
        self.ready.next()
    }
}

impl Names {
    fn observation(&mut self, decoded: &DecodedObservation<'_>) -> Result<Observation, String> {
        let sensor = find(&mut self.sensors, "sensor", &decoded.sensor)?;
        let time = decoded
            .time
            .ok_or("there is no `ts`: recorded readings need their time")?;
        let mut observation = empty_observation(sensor, time);
        for value in &decoded.values {
            let measurement = find(&mut self.others, "measurement", &value.measurement)?;
            let unit = find(&mut self.others, "unit", &value.unit)?;
            observation.values.push(Value {
                measurement,
                value: value.value,
                unit,
            });
        }
        Ok(observation)
    }
}

impl Iterator for JsonLines {
    type Item = Result<Observation, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.next() {
                return Some(ready);
            }
            if self.ended {
                return None;
            }
            match self.read_line() {
                Ok(true) if self.buffer.trim_ascii().is_empty() => {}
                Ok(true) if self.buffer.len() > DEFAULT_MAX_PAYLOAD => {
                    let message = format!(
                        "the line is longer than {DEFAULT_MAX_PAYLOAD} bytes: write smaller arrays"
                    );
                    return Some(Err(self.bad(message)));
                }
                Ok(true) => {
                    if let Some(first) = self.take_line() {
                        return Some(first);
                    }
                }
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(self.bad(format!(
                        "cannot be read further: {error}: what follows is missing"
                    ))));
                }
            }
        }
    }
}

fn find(cache: &mut NameCache, what: &str, text: &str) -> Result<citywatch_model::Name, String> {
    cache
        .find(text.as_bytes())
        .map_err(|wrong| format!("{what}: `{text}` {wrong}"))
}

fn skip_line(input: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let (bytes, found) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), false),
        };
        input.consume(bytes);
        if found {
            return Ok(());
        }
    }
}
