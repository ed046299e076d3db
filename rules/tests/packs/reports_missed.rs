//! A site on a battery reports every half hour, and every minute while its alert is open: falling silent then is
//! noticed within minutes, at other times within hours.

use citywatch_model::{Observation, Registry, Sensor, Time, Value, name};

use crate::{registry, run};

/// `2026-06-01T00:00:00Z`
const MIDNIGHT: i64 = 1_780_272_000_000;

fn readings(
    sensor: &str,
    measurement: &str,
    unit: &str,
    values: &[(i64, f64)],
) -> Vec<Observation> {
    let observation = |&(minute, value): &(i64, f64)| {
        let time = Time::from_millis(MIDNIGHT + minute * 60_000);
        Observation {
            sensor: name(sensor),
            time,
            arrival: time,
            flags: 0,
            values: [Value {
                measurement: name(measurement),
                value,
                unit: name(unit),
            }]
            .into(),
        }
    };
    values.iter().map(observation).collect()
}

fn on_battery(id: &str, kind: &str) -> Sensor {
    Sensor {
        interval_alarm: Some("1m".parse().unwrap()),
        ..registry::sensor(id, kind, "30m")
    }
}

/// What `rule` says of sensors that speak as given, until four hours have passed.
fn told(rule: &str, registry: Registry, mut observations: Vec<Observation>) -> Vec<String> {
    observations.extend(readings("clock", "battery", "V", &[(240, 3.6)]));
    observations.sort_by_key(|observation| observation.time);
    let transitions = run::replay(&run::packs(), registry, observations);
    run::written(transitions.iter().filter(|found| found.rule == rule))
}

#[test]
fn a_pit_that_falls_silent_in_its_alert_is_noticed_within_minutes() {
    let registry = registry::of([
        on_battery("full", "manhole_gas"),
        on_battery("calm", "manhole_gas"),
    ]);
    let gas = [(0, 2.0), (30, 30.0), (31, 31.0), (35, 33.0), (36, 33.0)];
    let mut observations = readings("full", "methane", "%LEL", &gas);
    observations.extend(readings("calm", "methane", "%LEL", &[(0, 2.0), (30, 2.0)]));
    assert_eq!(
        told("gas.pit-reports-missed", registry, observations),
        [
            "2026-06-01T00:42:00Z gas.pit-reports-missed full raise blue",
            "2026-06-01T03:30:00Z gas.pit-reports-missed calm raise blue",
        ]
    );
}

#[test]
fn an_underpass_that_falls_silent_in_its_alert_is_noticed_within_minutes() {
    let registry = registry::of([
        on_battery("wet", "underpass"),
        on_battery("dry", "underpass"),
    ]);
    let water = [(0, 2.0), (30, 12.0), (31, 13.0), (32, 14.0)];
    let mut observations = readings("wet", "water_depth", "cm", &water);
    observations.extend(readings("dry", "water_depth", "cm", &[(0, 0.0), (30, 0.0)]));
    assert_eq!(
        told("flood.road-reports-missed", registry, observations),
        [
            "2026-06-01T00:38:00Z flood.road-reports-missed wet raise blue",
            "2026-06-01T03:30:00Z flood.road-reports-missed dry raise blue",
        ]
    );
}
