//! The registry of the demo, and small ones made up for a test.

use citywatch_model::{Registry, Sensor, name};

use crate::recorded;

/// The sensors of `deploy/demo/sensors.csv`. Zones keep the time of the recordings' clock, UTC.
pub fn demo() -> Registry {
    let path = recorded::folder("../sensors.csv");
    let headers = csv::Reader::from_path(&path)
        .unwrap()
        .headers()
        .unwrap()
        .clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let [zone, kind, interval, stale_after] =
        ["zone", "kind", "interval", "stale_after"].map(column);
    let [lat, lon, min, max, measurements] =
        ["lat", "lon", "min", "max", "measurements"].map(column);
    let sensor = |row: &csv::StringRecord| Sensor {
        place: Some((row[lat].parse().unwrap(), row[lon].parse().unwrap())),
        zone: Some(name(&row[zone])),
        tags: [(name("kind"), name(&row[kind]))].into(),
        measurements: row[measurements].split_whitespace().map(name).collect(),
        interval: row[interval].parse().ok(),
        stale_after: row[stale_after].parse().ok(),
        min: row[min].parse().ok(),
        max: row[max].parse().ok(),
        ..Sensor::unknown(name(&row[0]))
    };
    of(recorded::rows(&path).iter().map(sensor))
}

/// A registry of `sensors`.
pub fn of(sensors: impl IntoIterator<Item = Sensor>) -> Registry {
    let sensors = sensors.into_iter().map(|sensor| (sensor.id, sensor));
    Registry {
        sensors: sensors.collect(),
        ..Registry::default()
    }
}

/// A sensor of `kind` that reports every `interval`, such as `5m`.
pub fn sensor(id: &str, kind: &str, interval: &str) -> Sensor {
    Sensor {
        tags: [(name("kind"), name(kind))].into(),
        interval: Some(interval.parse().unwrap()),
        ..Sensor::unknown(name(id))
    }
}
