//! What the readings themselves say, noted as they stream by: who spoke from when to when, and the first reading
//! of each series within each labelled event.

use std::collections::HashMap;

use citywatch_model::{Name, NameMap, Observation, Time};

use super::labels::Labels;

/// First reading at or after the start of an event, by sensor and measurement.
pub type FirstReadings = HashMap<(Name, Name), Time>;

/// Follows the observations.
pub struct Seen {
    /// First and last event time of each sensor.
    pub sensors: NameMap<(Time, Time)>,
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
            sensors: NameMap::default(),
            first: vec![FirstReadings::new(); windows.len()],
            windows,
            next: 0,
            open: Vec::new(),
        }
    }

    #[inline]
    pub fn observe(&mut self, observation: &Observation) {
        let time = observation.time;
        let span = self
            .sensors
            .entry(observation.sensor)
            .or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
        if self.next < self.windows.len() || !self.open.is_empty() {
            self.note_first(observation);
        }
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
        let spans = self.sensors.values().copied();
        spans.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }
}
