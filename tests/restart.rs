//! What the engine remembers across restarts: from its saved state when that can be used, from the journal when not.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use serde_json::json;
use support::Service;

const RULES: &str = "
rules:
  - { id: t.rise, measurement: level, levels: { red: rise(1h) >= 10 and count(1h) >= 3 } }
  - { id: t.hour, measurement: speed, levels: { blue: value > baseline(1d) } }
";

/// A sensor of which everything is known.
const SENSORS: &str =
    "sensor_id,name,lat,lon,zone,tags,interval,interval_alarm,stale_after,min,max,measurements
s-1,一号站,30.012,120.021,d,basin=dongxi,10m,1m,1h,-5.5,30,level
";
const ZONES: &str = "zones:
  - id: d
    name: { zh: 示例区, en: Example District }
    timezone: Asia/Shanghai
    polygon: [[30.00, 120.00], [30.00, 120.10], [30.10, 120.10], [30.10, 120.00]]
";

const LEVEL: (&str, &str) = ("s-1", "level");

fn send(service: &Service, (sensor, measurement): (&str, &str), ts: &str, value: f64) {
    service
        .send(&json!({ "sensor": sensor, "ts": ts, "measurement": measurement, "value": value }));
}

/// Saved states, the oldest first.
fn states(service: &Service) -> Vec<PathBuf> {
    let folder = service.folder.path().join("data/engine");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_window_goes_on_after_a_stop_and_after_the_saved_states_are_damaged() {
    let files = [
        ("rules/t.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
    ];
    let mut service = Service::new(&files, "");
    service.start();
    send(&service, LEVEL, "2026-07-01T00:00:00Z", 1.0);
    assert!(service.terminate().success());
    assert_eq!(states(&service).len(), 1, "a stop saves the state");
    service.start();
    let [_, [state, ledger, _]] = service.starts()[..] else {
        panic!("two starts: {}", service.log());
    };
    assert!(0 < state && state == ledger, "{}", service.log());
    send(&service, LEVEL, "2026-07-01T00:10:00Z", 2.0);
    assert!(service.alerts("rule=t.rise").is_empty());
    assert!(service.terminate().success());

    for state in states(&service) {
        let mut bytes = std::fs::read(&state).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&state, bytes).unwrap();
    }
    service.start();
    let log = service.log();
    assert!(log.matches("cannot be used").count() == 2, "{log}");
    assert_eq!(service.starts()[2][0], 0, "{log}");
    send(&service, LEVEL, "2026-07-01T00:20:00Z", 11.0);
    let alerts = service.alerts("rule=t.rise");
    assert_eq!(alerts.len(), 1, "the window holds all three: {alerts:?}");
}

/// Sends 1 and on the day after 5, a quarter of an hour later; answers whether that is above the same hour of the
/// day before. It is the same hour in one time zone and another one in the other.
fn same_hour(service: &Service, sensor: &str, minute: u32) -> bool {
    let at = |day: u32, minute: u32| {
        format!("2026-07-{day:02}T{:02}:{:02}:00Z", minute / 60, minute % 60)
    };
    send(service, (sensor, "speed"), &at(1, minute), 1.0);
    send(service, (sensor, "speed"), &at(2, minute + 15), 5.0);
    !service
        .alerts(&format!("rule=t.hour&subject={sensor}"))
        .is_empty()
}

#[test]
fn local_hours_are_those_of_the_service_and_follow_its_configuration() {
    let kathmandu = "[service]\ntimezone = \"Asia/Kathmandu\"\n";
    let mut service = Service::new(&[("rules/t.yaml", RULES)], kathmandu);
    service.start();
    assert!(same_hour(&service, "a", 50), "06:35 and 06:50 there");
    assert!(!same_hour(&service, "b", 10), "05:55 and 06:10 there");
    assert!(service.terminate().success());
    let config = std::fs::read_to_string(service.config()).unwrap();
    let config = config.replace("Asia/Kathmandu", "UTC");
    std::fs::write(service.config(), config).unwrap();
    service.start();
    assert!(!same_hour(&service, "c", 50));
    assert!(same_hour(&service, "d", 10));
}
