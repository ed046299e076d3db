//! Which sensors the `where:` of a rule selects, as the engine judges it, for those who look at rules from outside.

use citywatch_model::{Name, Registry};

/// Whether `selector` selects the sensor `id`. One that the registry does not hold has no tags but its id.
pub fn selects(selector: &[(Name, Vec<Name>)], id: Name, registry: &Registry) -> bool {
    let sensor = registry.sensors.get(&id);
    selector.iter().all(|(tag, wanted)| match tag.as_str() {
        "sensor" => wanted.contains(&id),
        "zone" => {
            let zone = sensor.and_then(|sensor| sensor.zone);
            zone.is_some_and(|zone| {
                let mut around = registry.zones.around(zone);
                around.any(|zone| wanted.contains(&zone))
            })
        }
        _ => {
            let value = sensor.and_then(|sensor| sensor.tags.get(tag));
            value.is_some_and(|value| wanted.contains(value))
        }
    })
}
