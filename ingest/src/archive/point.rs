//! One reading as the archive gets it, and what line protocol cannot say.

use citywatch_model::{Body, Name, Record, Time};

use crate::StoredReading;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub sensor: Name,
    pub measurement: Name,
    pub time: Time,
    pub value: f64,
    pub unit: Name,
    pub flags: u8,
}

impl Point {
    /// Under one key there is one point.
    pub(super) fn key(&self) -> (Name, Name, Time) {
        (self.sensor, self.measurement, self.time)
    }

    /// What the history keeps under the same key: the first value that came.
    pub(super) fn keep(&mut self, kept: &StoredReading) {
        self.value = kept.value;
        self.unit = kept.unit;
        self.flags = kept.flags;
    }

    /// Why no line can carry it, if none can.
    pub(super) fn unwritable(&self) -> Option<String> {
        let wrong = |name: &Name| {
            misread(name).map(|problem| {
                format!("`{name}` {problem}, which line protocol cannot carry: rename it at the device or gateway")
            })
        };
        if !self.value.is_finite() {
            return Some(format!("the value {} is not finite", self.value));
        }
        [self.sensor, self.measurement, self.unit]
            .iter()
            .find_map(wrong)
    }
}

/// A backslash only escapes what follows it, so it cannot stand for itself before such a character or at the end.
fn misread(name: &str) -> Option<&'static str> {
    let escapes = |pair: &[u8]| pair[0] == b'\\' && matches!(pair[1], b',' | b'=' | b' ' | b'\\');
    if name.ends_with('\\') {
        Some("ends in a backslash")
    } else if name.as_bytes().windows(2).any(escapes) {
        Some("has a backslash before a comma, an equals sign, a space or another one")
    } else if name.chars().any(char::is_control) {
        Some("has a control character")
    } else {
        None
    }
}

/// The readings of `records`, as they came.
pub(super) fn points(records: &[Record]) -> impl Iterator<Item = Point> {
    let observations = records.iter().filter_map(|record| match &record.body {
        Body::Observation(observation) => Some(observation),
        Body::Tick | Body::Start | Body::Link { .. } | Body::Registry(_) | Body::Rules(_) => None,
    });
    observations.flat_map(|observation| {
        observation.values.iter().map(|value| Point {
            sensor: observation.sensor,
            measurement: value.measurement,
            time: observation.time,
            value: value.value,
            unit: value.unit,
            flags: observation.flags,
        })
    })
}

/// In the order of their keys, each key once, the first that came before others: neighbours are of one sensor, so
/// that whatever is wrong with a sensor lies together.
pub(super) fn in_order(points: &mut Vec<Point>) {
    points.sort_by_key(Point::key);
    points.dedup_by_key(|point| point.key());
}

#[cfg(test)]
mod tests {
    use citywatch_model::name;

    use super::*;

    fn point(sensor: &str, millis: i64, value: f64) -> Point {
        Point {
            sensor: name(sensor),
            measurement: name("methane"),
            time: Time::from_millis(millis),
            value,
            unit: name(""),
            flags: 0,
        }
    }

    #[test]
    fn only_names_that_would_be_read_as_others_are_unwritable() {
        for fine in ["a", "a b,c=d", "井 3", "a\\b", "\"", "#1", "_x"] {
            assert_eq!(point(fine, 0, 1.0).unwritable(), None, "{fine}");
        }
        for wrong in ["a\\", "a\\ b", "a\\,b", "a\\=b", "a\\\\b", "a\nb"] {
            assert!(point(wrong, 0, 1.0).unwritable().is_some(), "{wrong}");
        }
        assert!(point("a", 0, f64::NAN).unwritable().is_some());
    }

    #[test]
    fn of_one_key_the_first_stays() {
        let mut points = vec![
            point("b", 1, 1.0),
            point("a", 2, 2.0),
            point("b", 1, 3.0),
            point("a", 1, 4.0),
        ];
        in_order(&mut points);
        assert_eq!(
            points,
            [point("a", 1, 4.0), point("a", 2, 2.0), point("b", 1, 1.0)]
        );
    }
}
