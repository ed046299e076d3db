//! What in a bundle is lawful and yet mostly a slip: rules that no registered sensor feeds, and names that the registry
//! does not hold. Sensors may speak without being registered, so none of it is a mistake, and an empty registry says nothing.

use citywatch_model::{Mode, Name};
use citywatch_rules::ast::{Method, Rule};

use super::{Bundle, Mistake};
use crate::selection::selects;

/// One hint for each of them, with the place of the rule.
pub fn hints(bundle: &Bundle) -> Vec<Mistake> {
    if bundle.registry.sensors.is_empty() {
        return Vec::new();
    }
    let rules = bundle.rules.rules.iter();
    let rules = rules.filter(|rule| rule.info.mode != Mode::Off);
    let mut hints = Vec::new();
    for rule in rules {
        let messages = of_rule(bundle, rule);
        if messages.is_empty() {
            continue;
        }
        let (file, line) = bundle.place_of(rule.info.id.as_str());
        hints.extend(messages.iter().map(|message| {
            let hint = Mistake {
                line,
                ..Mistake::of_file(&file, message)
            };
            hint.written()
        }));
    }
    hints
}

fn of_rule(bundle: &Bundle, rule: &Rule) -> Vec<String> {
    let id = rule.info.id;
    let mut hints = Vec::new();
    let tagged = |tag: &'static str| {
        let entries = rule
            .selector
            .iter()
            .filter(move |(held, _)| held.as_str() == tag);
        entries.flat_map(|(_, wanted)| wanted.iter().copied())
    };
    let remote = rule.remote.iter().map(|(sensor, _)| *sensor);
    for sensor in tagged("sensor").chain(remote) {
        if !holds(bundle, sensor) {
            hints.push(format!(
                "rule `{id}` names the sensor `{sensor}`, which the registry does not hold"
            ));
        }
    }
    for zone in tagged("zone").filter(|zone| !is_zone(bundle, *zone)) {
        hints.push(format!(
            "rule `{id}` names the zone `{zone}`, which the registry does not hold"
        ));
    }
    if hints.is_empty() && !is_fed(bundle, rule) {
        hints.push(format!(
            "rule `{id}` selects no sensor of the registry: none measures {} and fits its `where`",
            rule.info.measurement
        ));
    }
    hints
}

/// Whether the registry or a derived series has this sensor; derived ones over zones bear the names of those.
fn holds(bundle: &Bundle, sensor: Name) -> bool {
    let named = |method: &Method| matches!(method, Method::Named { .. });
    bundle.registry.sensors.contains_key(&sensor)
        || bundle.zones.0.contains_key(&sensor)
        || (bundle.rules.derived.iter()).any(|derive| derive.id == sensor && named(&derive.method))
}

/// Without zones.yaml the sensors alone tell which zones there are.
fn is_zone(bundle: &Bundle, zone: Name) -> bool {
    let mut sensors = bundle.registry.sensors.values();
    bundle.zones.0.contains_key(&zone) || sensors.any(|sensor| sensor.zone == Some(zone))
}

/// Whether a selected sensor may measure what the rule is about: one whose measurements the registry does not say may
/// measure all. Of derived series the engine knows who has them.
fn is_fed(bundle: &Bundle, rule: &Rule) -> bool {
    let measurement = rule.info.measurement;
    let derived = &bundle.rules.derived;
    if derived
        .iter()
        .any(|derive| derive.makes().contains(&measurement))
    {
        return true;
    }
    bundle.registry.sensors.values().any(|sensor| {
        let measures = &sensor.measurements;
        (measures.is_empty() || measures.contains(&measurement))
            && selects(&rule.selector, sensor.id, &bundle.registry)
    })
}
