//! What the readings themselves say, noted as they stream by: who spoke from when to when and measured what, and the
//! first reading of each series within each labelled event.

use std::collections::HashMap;

use citywatch_model::{Name, NameMap, Observation, Time};

use super::labels::Labels;

/// First reading at or after the start of an event, by sensor and measurement.
pub type FirstReadings = HashMap<(Name, Name), Time>;

/// Follows the observations.
pub struct Seen {
    /// With first and last event time.
    sensors: Vec<(Name, (Time, Time))>,
    /// What each of them measured.
    measured: Vec<Vec<Name>>,
    places: NameMap<usize>,
    /// Place of the sensor that is looked for first: sensors often speak in the same order again.
    expected: usize,
    /// For each event, in the order of the labels.
    pub first: Vec<FirstReadings>,
    /// Start, end with grace, sensor; in the order of their starts.
    windows: Vec<(Time, Time, Option<Name>)>,
    /// The first window that has not begun.
    next: usize,
    /// Windows that have begun and not ended.
    open: Vec<usize>,
}

impl Seen {
    pub fn new(labels: Option<&Labels>) -> Seen {
        let windows: Vec<_> = labels
            .map(|labels| {
                let window = |event| (labels.end(event), event);
                let windows = labels.events.iter().map(window);
                windows
                    .map(|(end, event)| (event.start, end, event.sensor))
                    .collect()
            })
            .unwrap_or_default();
        Seen {
            sensors: Vec::new(),
            measured: Vec::new(),
            places: NameMap::default(),
            expected: 0,
            first: vec![FirstReadings::new(); windows.len()],
            windows,
            next: 0,
            open: Vec::new(),
        }
    }

    #[inline]
    pub fn observe(&mut self, observation: &Observation) {
        let time = observation.time;
        let place = self.place(observation.sensor, time);
        self.expected = place + 1;
        let (_, span) = &mut self.sensors[place];
        *span = (span.0.min(time), span.1.max(time));
        let measured = &mut self.measured[place];
        for (index, value) in observation.values.iter().enumerate() {
            // a sensor mostly measures the same in the same order
            let measurement = value.measurement;
            if measured.get(index) != Some(&measurement) && !measured.contains(&measurement) {
                measured.push(measurement);
            }
        }
        if self.next < self.windows.len() || !self.open.is_empty() {
            self.note_first(observation);
        }
    }

    #[inline]
    fn place(&mut self, sensor: Name, time: Time) -> usize {
        let expected = self.sensors.get(self.expected);
        if expected.is_some_and(|(expected, _)| *expected == sensor) {
            return self.expected;
        }
        *self.places.entry(sensor).or_insert_with(|| {
            self.sensors.push((sensor, (time, time)));
            self.measured.push(Vec::new());
            self.sensors.len() - 1
        })
    }

    /// First and last event time of each sensor.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = (Time, Time)> {
        self.sensors.iter().map(|(_, span)| *span)
    }

    /// The sensors that sent the measurement.
    pub fn senders_of(&self, measurement: Name) -> impl Iterator<Item = Name> {
        let sensors = self.sensors.iter().zip(&self.measured);
        let senders = sensors.filter(move |(_, measured)| measured.contains(&measurement));
        senders.map(|((sensor, _), _)| *sensor)
    }

    /// First and last event time of a sensor that has spoken.
    pub fn span_of(&self, sensor: Name) -> Option<(Time, Time)> {
        let place = self.places.get(&sensor)?;
        Some(self.sensors[*place].1)
    }

    fn note_first(&mut self, observation: &Observation) {
        let time = observation.time;
        while let Some((start, ..)) = self.windows.get(self.next)
            && *start <= time
        {
            self.open.push(self.next);
            self.next += 1;
        }
        let (windows, first) = (&self.windows, &mut self.first);
        self.open.retain(|&place| {
            let (start, end, sensor) = windows[place];
            if time > end {
                return false;
            }
            // a late row may lie before the start
            if start <= time && sensor.is_none_or(|sensor| sensor == observation.sensor) {
                for value in &observation.values {
                    let series = (observation.sensor, value.measurement);
                    first[place].entry(series).or_insert(time);
                }
            }
            true
        });
    }

    /// Earliest and newest event time of all.
    pub fn span(&self) -> Option<(Time, Time)> {
        self.spans()
            .reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }
}
