//! Reading the `sensors:`, `zones:` and `time_zone:` of a test. Continues `scenario`.

use citywatch_model::{Name, Sensor, Zones, name};
use jiff::tz::TimeZoneDatabase;

use super::fields;
use super::scenario::Subject;
use super::source::Source;
use super::yaml::{Map, Node, Scalar};

const SENSOR_KEYS: [&str; 9] = [
    "interval",
    "interval_alarm",
    "stale_after",
    "tags",
    "zone",
    "lat",
    "lon",
    "min",
    "max",
];

impl Subject<'_> {
    /// A sensor that the rule's `where` accepts: the first value of each tag.
    pub(super) fn matching(&self, id: Name) -> Sensor {
        let mut sensor = Sensor::unknown(id);
        for (tag, values) in self.selector {
            let Some(value) = values.first() else {
                continue;
            };
            match tag.as_str() {
                // implied by the id
                "sensor" => {}
                "zone" => sensor.zone = Some(*value),
                _ => {
                    sensor.tags.insert(*tag, *value);
                }
            }
        }
        sensor
    }

    /// `sensors:`, each with what the rule's `where` asks for unless it says otherwise.
    pub(super) fn declared(&self, source: &mut Source<'_>, map: &Map) -> Vec<Sensor> {
        let Some(node) = fields::get(map, "sensors") else {
            return Vec::new();
        };
        let Some(map) = fields::map(source, node, "`sensors`") else {
            return Vec::new();
        };
        map.entries
            .iter()
            .map(|(id, node)| self.sensor(source, id, node))
            .collect()
    }

    fn sensor(&self, source: &mut Source<'_>, id: &Scalar, node: &Node) -> Sensor {
        let mut sensor = self.matching(name(&id.value));
        // `u-2:` alone declares a sensor like those that the rule is for
        if matches!(node, Node::Scalar(scalar) if scalar.is_nothing()) {
            return sensor;
        }
        let Some(map) = fields::map(source, node, "a sensor") else {
            return sensor;
        };
        fields::keys(source, map, "a sensor", &SENSOR_KEYS);
        let mut duration = |key: &str| {
            fields::get(map, key)
                .and_then(|node| fields::duration(source, node, &format!("`{key}`")))
        };
        (sensor.interval, sensor.stale_after) = (duration("interval"), duration("stale_after"));
        sensor.interval_alarm = duration("interval_alarm");
        let mut number = |key: &str| {
            fields::get(map, key).and_then(|node| fields::number(source, node, &format!("`{key}`")))
        };
        (sensor.min, sensor.max) = (number("min"), number("max"));
        sensor.place = place(source, map);
        if let Some(node) = fields::get(map, "zone") {
            sensor.zone = fields::named(source, node, "`zone`");
        }
        if let Some(tags) =
            fields::get(map, "tags").and_then(|node| fields::map(source, node, "`tags`"))
        {
            let pairs = tags.entries.iter();
            sensor.tags = pairs
                .filter_map(|(tag, node)| {
                    Some((name(&tag.value), fields::named(source, node, &tag.value)?))
                })
                .collect();
        }
        sensor
    }
}

/// `lat` and `lon` in degrees, both or neither.
fn place(source: &mut Source<'_>, map: &Map) -> Option<(f64, f64)> {
    let mut degrees = |key: &str, limit: f64| {
        let node = fields::get(map, key)?;
        let degrees = fields::number(source, node, &format!("`{key}`"))?;
        if degrees.abs() > limit {
            let message = format!("`{key}` must lie from -{limit} to {limit}");
            let help = "write degrees, such as `lat: 39.9, lon: 116.4`".to_owned();
            source.report_with_help(node.span(), message, help);
        }
        Some(degrees)
    };
    let (lat, lon) = (degrees("lat", 90.0), degrees("lon", 180.0));
    let given = ["lat", "lon"].map(|key| fields::get(map, key));
    if let [Some(alone), None] | [None, Some(alone)] = given {
        let help = "write both, such as `lat: 39.9, lon: 116.4`".to_owned();
        source.report_with_help(alone.span(), "`lat` and `lon` belong together", help);
    }
    lat.zip(lon)
}

/// `zones: { cell: { parent: street, time_zone: Asia/Shanghai } }` and `time_zone: Asia/Shanghai`.
pub(super) fn zones(source: &mut Source<'_>, test: &Map) -> Zones {
    let mut zones = Zones::default();
    if let Some(node) = fields::get(test, "time_zone") {
        zones.time_zone = time_zone(source, node).unwrap_or_default();
    }
    let all = fields::get(test, "zones").and_then(|node| fields::map(source, node, "`zones`"));
    for (zone, node) in all.map_or(&[][..], |all| &all.entries) {
        // `cell:` alone is a zone of which there is no more to say
        if matches!(node, Node::Scalar(scalar) if scalar.is_nothing()) {
            continue;
        }
        let Some(map) = fields::map(source, node, "a zone") else {
            continue;
        };
        fields::keys(source, map, "a zone", &["parent", "time_zone"]);
        let zone = name(zone.value.trim());
        if let Some(node) = fields::get(map, "parent")
            && let Some(parent) = fields::named(source, node, "`parent`")
        {
            zones.parents.insert(zone, parent);
            if zones.around(parent).any(|outer| outer == zone) {
                let message = format!("zone `{zone}` lies inside itself");
                let help = "name the zone around it, or leave `parent` out".to_owned();
                source.report_with_help(node.span(), message, help);
            }
        }
        if let Some(node) = fields::get(map, "time_zone")
            && let Some(time_zone) = time_zone(source, node)
        {
            zones.time_zones.insert(zone, time_zone);
        }
    }
    zones
}

/// An IANA name. Those that the program carries count, not those of the machine.
fn time_zone(source: &mut Source<'_>, node: &Node) -> Option<Name> {
    let zone = fields::named(source, node, "`time_zone`")?;
    if TimeZoneDatabase::bundled().get(&zone).is_err() {
        let help = "write a name of the IANA database such as `Asia/Shanghai` or `UTC`".to_owned();
        source.report_with_help(node.span(), format!("no time zone `{zone}`"), help);
        return None;
    }
    Some(zone)
}
