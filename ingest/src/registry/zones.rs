//! The areas of responsibility: a tree of zones, each with its name, its outline and its local time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use citywatch_model::{Name, Registry, Text, name};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::problem::{Problem, Problems, read, utf8};
use super::sensors_yaml::unreadable;

/// One area of responsibility.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Unique.
    pub id: Name,
    /// For people; the id if the file gives none.
    pub name: Text,
    /// The zone that contains it; `None` for a top zone.
    pub parent: Option<Name>,
    /// Corners as WGS 84 latitude and longitude in degrees, the first again at the end; empty if unknown.
    pub polygon: Vec<(f64, f64)>,
    /// IANA name of its local time, such as `Asia/Shanghai`; `None` means that of its parent.
    pub timezone: Option<String>,
}

/// All zones of a file, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zones {
    file: PathBuf,
    zones: BTreeMap<Name, Zone>,
}

/// The form of the file.
const EXAMPLE: &str = "the one key `zones` with a list, such as `zones: [{ id: luyang, name: { zh: 庐阳区, en: Luyang }, parent: hefei }]`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    zones: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    polygon: Vec<(f64, f64)>,
    #[serde(default)]
    timezone: Option<String>,
}

impl Zones {
    /// Reads a `zones.yaml`.
    ///
    /// # Errors
    /// All problems of the file: unknown parents, cycles, ids that stand twice, outlines that are none.
    pub fn load(path: &Path) -> Result<Zones, Problems> {
        Zones::read(path, &read(path)?)
    }

    /// The same of bytes that were read already; `path` is named in problems.
    ///
    /// # Errors
    /// As [`Zones::load`].
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Zones, Problems> {
        let text = utf8(path, bytes)?;
        let written: Written =
            serde_saphyr::from_str(text).map_err(|error| unreadable(path, &error, EXAMPLE))?;
        let mut problems = Problems::default();
        let mut zones = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for entry in written.zones {
            let line = entry.referenced.line();
            let zone = zone(path, line, entry.value, &mut problems);
            if let Some(first) = lines.get(&zone.id) {
                let message =
                    format!("the zone stands in lines {first} and {line}: keep one of them");
                problems.add(
                    Problem::of(path)
                        .line(line)
                        .field("id")
                        .value(&zone.id)
                        .message(message),
                );
            } else {
                lines.insert(zone.id, line);
                zones.insert(zone.id, zone);
            }
        }
        check_tree(path, &zones, &lines, &mut problems);
        problems.unless_empty().map(|()| Zones {
            file: path.to_owned(),
            zones,
        })
    }

    /// The zone with this id.
    #[must_use]
    pub fn get(&self, id: Name) -> Option<&Zone> {
        self.zones.get(&id)
    }

    /// All zones in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.zones.values()
    }

    /// Gives `registry` this zone tree.
    ///
    /// # Errors
    /// Sensors that stand in a zone that the file does not name; `registry` is then unchanged.
    pub fn enter(&self, registry: &mut Registry) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for sensor in registry.sensors.values() {
            if let Some(zone) = sensor.zone.filter(|zone| !self.zones.contains_key(zone)) {
                let message = format!(
                    "sensor {} stands in this zone, which is not listed: add the zone",
                    sensor.id
                );
                problems.add(
                    Problem::of(&self.file)
                        .field("zone")
                        .value(&zone)
                        .message(message),
                );
            }
        }
        problems.unless_empty()?;
        registry.zones.parents = self
            .iter()
            .filter_map(|zone| Some((zone.id, zone.parent?)))
            .collect();
        registry.zones.time_zones = self
            .iter()
            .filter_map(|zone| Some((zone.id, name(zone.timezone.as_deref()?))))
            .collect();
        Ok(())
    }
}

fn zone(file: &Path, line: u64, entry: Entry, problems: &mut Problems) -> Zone {
    let mut wrong = |field: &str, value: &str, message: &str| {
        problems.add(
            Problem::of(file)
                .line(line)
                .field(field)
                .value(value)
                .message(message),
        );
    };
    if entry.id.is_empty() {
        wrong("id", "", "is empty: every zone needs an id");
    }
    let mut polygon = entry.polygon;
    if polygon.len() > 1 && polygon.first() == polygon.last() {
        polygon.pop();
    }
    if matches!(polygon.len(), 1 | 2) {
        wrong(
            "polygon",
            &format!("{polygon:?}"),
            "an outline needs at least three corners: add some, or leave it out",
        );
    }
    for (lat, lon) in &polygon {
        if !(lat.abs() <= 90.0 && lon.abs() <= 180.0) {
            wrong(
                "polygon",
                &format!("[{lat}, {lon}]"),
                "is no latitude and longitude in degrees: latitude comes first",
            );
        }
    }
    polygon.extend(polygon.first().copied());
    if let Some(zone) = entry
        .timezone
        .as_deref()
        .filter(|zone| jiff::tz::TimeZone::get(zone).is_err())
    {
        wrong(
            "timezone",
            zone,
            "is not a known time zone: write an IANA name such as Asia/Shanghai, and install tzdata",
        );
    }
    Zone {
        id: name(&entry.id),
        name: if entry.name.is_empty() {
            Text::same(&entry.id)
        } else {
            entry.name
        },
        parent: entry
            .parent
            .as_deref()
            .filter(|parent| !parent.is_empty())
            .map(name),
        polygon,
        timezone: entry.timezone,
    }
}

fn check_tree(
    file: &Path,
    zones: &BTreeMap<Name, Zone>,
    lines: &BTreeMap<Name, u64>,
    problems: &mut Problems,
) {
    let problem = |zone: &Zone, parent: Name, message: String| {
        let problem = Problem::of(file)
            .field("parent")
            .value(&parent)
            .message(message);
        match lines.get(&zone.id) {
            Some(line) => problem.line(*line),
            None => problem,
        }
    };
    for zone in zones.values() {
        let Some(parent) = zone.parent else { continue };
        if !zones.contains_key(&parent) {
            problems.add(problem(
                zone,
                parent,
                "the file names no such zone: add it, or correct the parent".to_owned(),
            ));
        } else if in_cycle(zones, zone) {
            let message = format!("zone {} would contain itself: break the cycle", zone.id);
            problems.add(problem(zone, parent, message));
        }
    }
}

fn in_cycle(zones: &BTreeMap<Name, Zone>, zone: &Zone) -> bool {
    let above = std::iter::successors(zone.parent, |id| zones.get(id)?.parent);
    above.take(zones.len()).any(|id| id == zone.id)
}
