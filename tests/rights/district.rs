//! A service with alerts and warnings inside and outside of what somebody bound may see.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::Service;
use super::support::people::{Person, account};

/// Stands in everything that lies outside, and in nothing else.
pub const MARK: &str = "foreign";

const RULES: &str = "rules:
  - { id: gas.test, hazard: gas, measurement: methane, levels: { orange: value >= 25, red: value >= 50 } }
  - { id: flood.foreign, hazard: flood, measurement: foreign_depth, levels: { orange: value >= 25 } }
";
const SENSORS: &str = "sensor_id,name,zone,measurements
g-1,阀井,cell-1,methane
g-2,阀井,street-1,methane
foreign-g,foreign place,foreign-street,methane
foreign-w,foreign water,street-1,foreign_depth
foreign-nowhere,foreign nowhere,,methane
";
const ZONES: &str = "zones:
  - { id: district, name: 区 }
  - { id: street-1, name: 一街道, parent: district }
  - { id: cell-1, name: 一网格, parent: street-1 }
  - { id: foreign-street, name: foreign street, parent: district }
";
/// Nobody listens at port 9: deliveries stay under way.
const PLANS: &str = "departments:
  - id: duty
    name: { zh: 值班, en: Duty }
    channels: [{ kind: webhook, url: 'http://127.0.0.1:9/' }]
  - id: foreign-department
    name: { zh: foreign 部门, en: Foreign }
    zones: [foreign-street]
    channels: [{ kind: webhook, url: 'http://127.0.0.1:9/foreign' }]
plans:
  - id: default
    levels: { orange: { tell: [duty, foreign-department] } }
";
pub const PASSWORD: &str = "correct horse battery";

/// A service with alerts and warnings inside and outside, and somebody who is bound to gas in street-1.
pub struct World {
    pub service: Service,
    pub bound: Person,
    /// Numbers of alerts, warnings and deliveries inside, and outside.
    pub inside: [BTreeSet<i64>; 3],
    pub outside: [BTreeSet<i64>; 3],
    pub identifiers: (String, String),
}

pub fn world() -> World {
    let files = [
        ("rules/all.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
        ("plans.yaml", PLANS),
    ];
    let device = "[[tokens]]\nname = \"sensor-hub\"\nrole = \"device\"\ntoken = \"device-token-0123456\"\n\n\
        [[tokens]]\nname = \"bound-screen\"\nrole = \"operator\"\ntoken = \"bound-token-01234567\"\nhazards = [\"gas\"]\nzones = [\"street-1\"]\n";
    let mut service = Service::new(&files, device);
    service.start();
    let reading = |sensor: &str, measurement: &str| json!({ "sensor": sensor, "measurement": measurement, "value": 30 });
    service.send(&json!([
        reading("foreign-g", "methane"),
        reading("g-1", "methane"),
        reading("foreign-w", "foreign_depth"),
        reading("foreign-nowhere", "methane"),
        reading("g-2", "methane"),
    ]));
    let alerts = service.alerts("");
    assert_eq!(alerts.len(), 5, "{alerts:?}");
    for alert in &alerts {
        let path = format!("/api/v1/alerts/{}/warnings", alert["id"]);
        let (status, answer) = service.post(&path, b"{}");
        assert_eq!(status, 201, "{answer}");
    }
    let wish =
        json!({ "name": "值班员", "role": "operator", "hazards": ["gas"], "zones": ["street-1"] });
    let bound = account(&service, &wish, PASSWORD);
    let is_outside = |alert: &Value| alert.to_string().contains(MARK);
    let outside: BTreeSet<i64> = alerts
        .iter()
        .filter(|alert| is_outside(alert))
        .map(|alert| number(&alert["id"]))
        .collect();
    let (inside, outside, identifiers) = sorted(&service, &outside);
    World {
        service,
        bound,
        inside,
        outside,
        identifiers,
    }
}

pub fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

type Numbers = [BTreeSet<i64>; 3];

fn sorted(service: &Service, outside: &BTreeSet<i64>) -> (Numbers, Numbers, (String, String)) {
    let mut found: [Numbers; 2] = Default::default();
    let mut identifiers = (String::new(), String::new());
    for (index, list) in ["alerts", "warnings", "deliveries"].into_iter().enumerate() {
        let items = service.get(&format!("/api/v1/{list}?limit=1000"));
        for item in items["items"].as_array().unwrap() {
            let alert = number(if index == 0 {
                &item["id"]
            } else {
                &item["alert"]
            });
            let side = usize::from(outside.contains(&alert));
            found[side][index].insert(number(&item["id"]));
            if let Some(identifier) = item["warning"]["identifier"].as_str() {
                let of = if side == 1 {
                    &mut identifiers.1
                } else {
                    &mut identifiers.0
                };
                identifier.clone_into(of);
            }
        }
    }
    let [inside, outside] = found;
    assert!(
        inside
            .iter()
            .chain(&outside)
            .all(|numbers| numbers.len() >= 2),
        "{inside:?} {outside:?}"
    );
    (inside, outside, identifiers)
}
